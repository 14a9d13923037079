import Files

/// One step of a sampler: linear combinations, with h_0 the newest of the recorded estimates.
///
///     h = recorded(x, output), clipped
///     x = next(x, output) + history_0 h_0 + history_1 h_1 + ... + noise z
public struct SamplingStep: Equatable, Sendable {
  /// The timestep that the U-Net is conditioned on.
  public let timestep: Float
  /// The factor of the sample at the U-Net's input.
  public var inputScale: Float = 1
  /// The estimate that this step prepends to the history; nil if none.
  public var recorded: LinearCombination?
  public var clipRange: Float?
  public let next: LinearCombination
  public let history: [Float]
  /// The standard deviation of fresh noise; nil if the step is deterministic.
  public var noise: Float?
  /// Whether the step starts from the same sample as the previous one, to correct it.
  public var isCorrection = false
}

/// A sampler for a given number of steps: a table of coefficients executed by one loop.
public struct SamplingPlan: Equatable, Sendable {
  public let steps: [SamplingStep]
  /// The factor of standard normal noise in the initial sample.
  public let initialNoiseScale: Float

  /// Creates the plan of the class that the settings name, or of `kind`.
  ///
  /// - Parameter eta: used only by DDIM; the other samplers are deterministic.
  public init(
    _ config: SchedulerConfig, kind: SchedulerKind? = nil, stepCount: Int, eta: Float = 0
  ) throws {
    switch try kind ?? config.kind() {
    case .ddim: self = try .ddim(config, stepCount: stepCount, eta: eta)
    case .pndm: self = try .pndm(config, stepCount: stepCount)
    case .euler: self = try .euler(config, stepCount: stepCount)
    case .dpmSolver: self = try .dpmSolver(config, stepCount: stepCount)
    }
  }

  init(steps: [SamplingStep], initialNoiseScale: Float = 1) {
    self.steps = steps
    self.initialNoiseScale = initialNoiseScale
  }

  static func ddim(_ config: SchedulerConfig, stepCount: Int, eta: Float) throws -> SamplingPlan {
    let scheduler = try DDIMScheduler(config)
    let steps = try scheduler.timesteps(stepCount: stepCount).map { timestep in
      let step = try scheduler.step(from: timestep, stepCount: stepCount, eta: eta)
      return SamplingStep(
        timestep: Float(timestep), recorded: step.predictedX0, clipRange: step.clipRange,
        next: LinearCombination(
          sample: step.noiseScale * step.noise.sample,
          output: step.noiseScale * step.noise.output),
        history: [step.predictedX0Scale], noise: eta > 0 ? step.sigma : nil)
    }
    return SamplingPlan(steps: steps)
  }
}

/// Executes a plan on one sample (or on a batch as one array), step by step.
///
///     var sampler = Sampler(plan)
///     while let step = sampler.nextStep {
///       // output = unet(step.inputScale * sample, step.timestep), with guidance
///       sampler.advance(output: output, noise: z, sample: sample)
///     }
public struct Sampler: Sendable {
  public let plan: SamplingPlan
  private var index = 0
  private var history: [[Float]] = []
  private var startOfLastStep: [Float] = []

  public init(_ plan: SamplingPlan) { self.plan = plan }

  /// The next step; nil when all are done.
  public var nextStep: SamplingStep? {
    index < plan.steps.count ? plan.steps[index] : nil
  }

  /// Replaces `sample` by the next one.
  ///
  /// The buffers have the same size; `noise` holds standard normal numbers if the step needs them.
  public mutating func advance(
    output: UnsafeBufferPointer<Float>, noise: UnsafeBufferPointer<Float>? = nil,
    sample: UnsafeMutableBufferPointer<Float>
  ) {
    guard let step = nextStep else { preconditionFailure("all \(index) steps are done") }
    precondition(
      output.count == sample.count && (step.noise == nil || noise?.count == sample.count))
    let start = step.isCorrection ? startOfLastStep : Array(sample)
    if let recorded = step.recorded {
      let limit = step.clipRange ?? .infinity
      let estimate = zip(start, output).map {
        min(max(recorded.sample * $0 + recorded.output * $1, -limit), limit)
      }
      history.insert(estimate, at: 0)
    }
    precondition(history.count >= step.history.count)
    for place in sample.indices {
      var value = step.next.sample * start[place] + step.next.output * output[place]
      for (weight, estimate) in zip(step.history, history) { value += weight * estimate[place] }
      if let sigma = step.noise, let noise { value += sigma * noise[place] }
      sample[place] = value
    }
    startOfLastStep = start
    history.removeLast(max(0, history.count - 3))  // no step looks back further than four
    index += 1
  }
}
