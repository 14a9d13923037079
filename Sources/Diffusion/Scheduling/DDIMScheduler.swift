import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Denoising diffusion implicit models: the sampler of SPO, and of diffusers' `DDIMScheduler`.
///
///     x_prev = sqrt(aBar_prev) x0 + sqrt(1 - aBar_prev - sigma^2) noise + sigma z
///     sigma^2 = eta^2 (1 - aBar_prev) / (1 - aBar_t) (1 - aBar_t / aBar_prev)
///
/// Left out: dynamic thresholding (refused by name), which is not meant for latents.
///
/// Source: Song et al. 2021, arXiv 2010.02502, equations 12 and 16.
public struct DDIMScheduler: Sendable {
  /// What a step below timestep 0 ends in.
  public enum FinalStep: Sendable {
    /// diffusers: alphaBar 1 if `set_alpha_to_one`, else that of timestep 0.
    case asConfigured
    /// SPO: timestep 0 itself.
    case timestepZero
  }

  public let schedule: NoiseSchedule
  public let predictionType: PredictionType
  /// Estimates of x0 are clipped to this much on either side of 0.
  public let clipRange: Float?
  private let finalAlphaBar: Float
  private let config: SchedulerConfig

  public init(_ config: SchedulerConfig) throws {
    try config.requireOff("thresholding")
    schedule = try NoiseSchedule(config)
    predictionType = try config.predictionType()
    let range = Float(try config.json.double("clip_sample_range", default: 1))
    clipRange = try config.json.bool("clip_sample", default: true) ? range : nil
    let endsAtOne = try config.json.bool("set_alpha_to_one", default: true)
    finalAlphaBar = endsAtOne ? 1 : schedule.alphaBar[0]
    self.config = config
  }

  /// The timesteps of `stepCount` steps, in falling order.
  public func timesteps(stepCount: Int) throws -> [Int] {
    let timesteps = try config.timesteps(stepCount: stepCount, of: schedule, spacing: .leading)
      .map { Int($0) }
    // Pure noise holds no trace of x0 that could be told from the noise in it.
    guard predictionType != .noise || schedule.alphaBar[timesteps[0]] > 0 else {
      throw SchedulerError.unsupported(
        path: config.json.path, key: "prediction_type", found: "epsilon",
        supported: "v_prediction where the last timestep is pure noise")
    }
    return timesteps
  }

  /// The step from `timestep`, one of 0..<schedule.count, to the one that is
  /// schedule.count / stepCount lower.
  public func step(
    from timestep: Int, stepCount: Int, eta: Float, finalStep: FinalStep = .asConfigured
  ) throws(SchedulerError) -> DDIMStep {
    guard (0...1).contains(eta) else { throw .eta(eta) }
    guard stepCount >= 1, schedule.alphaBar.indices.contains(timestep) else {
      throw .stepCount(
        stepCount, path: config.json.path, problem: "timestep \(timestep) is not in the schedule")
    }
    let alphaBar = schedule.alphaBar[timestep]
    let previous = timestep - schedule.count / stepCount
    let previousAlphaBar =
      switch finalStep {
      case .asConfigured: previous >= 0 ? schedule.alphaBar[previous] : finalAlphaBar
      case .timestepZero: schedule.alphaBar[max(previous, 0)]
      }
    let variance = (1 - previousAlphaBar) / (1 - alphaBar) * (1 - alphaBar / previousAlphaBar)
    let sigma = eta * max(variance, 0).squareRoot()
    let alpha = alphaBar.squareRoot()
    let noiseScale = (1 - alphaBar).squareRoot()
    return DDIMStep(
      timestep: timestep,
      predictedX0: predictionType.predictedX0(alpha: alpha, sigma: noiseScale),
      noise: predictionType.noise(alpha: alpha, sigma: noiseScale),
      clipRange: clipRange,
      predictedX0Scale: previousAlphaBar.squareRoot(),
      noiseScale: max(1 - previousAlphaBar - sigma * sigma, 0).squareRoot(),
      sigma: sigma)
  }
}

/// The coefficients of one DDIM step, and the step on arrays of any shape.
///
///     x0 = predictedX0(x_t, output), clipped;  mean = predictedX0Scale x0 + noiseScale noise(x_t, output)
public struct DDIMStep: Equatable, Sendable {
  public let timestep: Int
  public let predictedX0: LinearCombination
  public let noise: LinearCombination
  public let clipRange: Float?
  public let predictedX0Scale: Float
  public let noiseScale: Float
  /// The standard deviation of x_prev around its mean; 0 where the step is deterministic.
  public let sigma: Float

  /// The estimate of x0.
  public func predictedX0(sample: [Float], output: [Float]) -> [Float] {
    zip(sample, output).map { x, m in
      let value = predictedX0.sample * x + predictedX0.output * m
      return clipRange.map { min(max(value, -$0), $0) } ?? value
    }
  }

  /// The mean of x_prev.
  public func mean(sample: [Float], output: [Float]) -> [Float] {
    let x0 = predictedX0(sample: sample, output: output)
    return zip(x0, zip(sample, output)).map { x0, pair in
      predictedX0Scale * x0 + noiseScale * (noise.sample * pair.0 + noise.output * pair.1)
    }
  }

  /// x_prev for standard normal numbers `z`.
  public func previousSample(sample: [Float], output: [Float], z: [Float]) -> [Float] {
    zip(mean(sample: sample, output: output), z).map { $0 + sigma * $1 }
  }

  /// The mean over all elements of the logarithm of x_prev's density.
  ///
  ///     -(x - mean)^2 / (2 sigma^2) - ln sigma - ln sqrt(2 pi)
  public func logProbability(of previousSample: [Float], mean: [Float]) throws(SchedulerError)
    -> Float
  {
    guard sigma > 0 else { throw .noDensity(timestep: timestep) }
    var squares = 0.0
    for (x, mean) in zip(previousSample, mean) { squares += Double((x - mean) * (x - mean)) }
    let sigma = Double(sigma)
    let meanSquare = squares / Double(max(1, previousSample.count))
    return Float(-meanSquare / (2 * sigma * sigma) - log(sigma) - 0.5 * log(2 * Double.pi))
  }
}
