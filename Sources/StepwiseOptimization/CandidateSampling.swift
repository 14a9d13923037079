public import Autograd
public import Diffusion
import RandomStreams

/// How trajectories are drawn and compared.
public struct CandidateSamplingSettings: Equatable, Sendable {
  public var steps: Int
  public var eta: Float
  public var candidates: Int
  /// The steps whose candidates are compared, counted from 0; before them, single samples.
  public var comparedSteps: Range<Int>
  /// How many of these are compared in one batch, consecutive and from a random one on; nil: all.
  ///
  /// - Source: MixGRPO, Li et al. 2025, arXiv 2507.21802, whose window slides; here every batch draws its own
  public var window: Int?
  /// Steps that each candidate continues alone before it is judged.
  public var innerSteps: Int
  /// A pair is kept if the preference probability of its best candidate exceeds that of its worst by
  /// more than this: the lower bound at the step that draws the least noise, the upper bound at the one
  /// that draws the most, and between them in proportion to the noise.
  public var thresholds: ClosedRange<Double>
  public var labels: Labels
  public var continuation: Continuation
  /// Prompts that are drawn together.
  ///
  /// Each has random streams of its own, so what it gets does not depend on its company but for the last bits:
  /// products and convolutions of few rows are summed in another order than those of many.
  public var promptsAtOnce: Int
  public var seed: UInt64

  public init(
    steps: Int, eta: Float, candidates: Int, comparedSteps: Range<Int>, window: Int? = nil,
    innerSteps: Int = 0, thresholds: ClosedRange<Double>, labels: Labels = .step,
    continuation: Continuation = .random, promptsAtOnce: Int, seed: UInt64
  ) {
    self.steps = steps
    self.eta = eta
    self.candidates = candidates
    self.comparedSteps = comparedSteps
    self.window = window
    self.innerSteps = innerSteps
    self.thresholds = thresholds
    self.labels = labels
    self.continuation = continuation
    self.promptsAtOnce = promptsAtOnce
    self.seed = seed
  }
}

extension CandidateSamplingSettings {
  /// The steps whose candidates are compared in one batch.
  ///
  /// - Parameter noisy: the steps that add noise
  func comparedSteps(inBatch iteration: UInt64, noisy: Range<Int>) -> Range<Int> {
    let steps = comparedSteps.clamped(to: noisy)
    guard let window, window < steps.count else { return comparedSteps }
    var stream = RandomStream(seed: seed, purpose: "spo.window", item: iteration)
    let first = steps.lowerBound + stream.integer(below: steps.count - window + 1)
    return first..<first + window
  }

  /// What is judged to label a step.
  public enum Labels: String, CaseIterable, Codable, Sendable {
    /// What came of this step, after the inner steps.
    case step
    /// The finished sample: candidates part once, at the first compared step, continue alone to the end, and every
    /// compared step on the way to the best and to the worst is labelled as these are.
    ///
    /// - Source: Yang et al. 2023, arXiv 2311.13231 (D3PO), as the control of Liang et al. 2024
    case trajectory
  }

  /// Which candidate sampling continues from once they have been judged.
  public enum Continuation: String, CaseIterable, Codable, Sendable {
    case random
    case best
    case worst
  }
}

/// Judges candidates for the sampling loop.
public protocol CandidateScorer {
  var view: CandidateView { get }

  /// The score of each candidate.
  ///
  /// - Parameters:
  ///   - latents: of the candidates as `view` says, `[batch, height, width, channels]`, scaled
  ///   - timestep: as `view` says
  ///   - source: the timestep that the candidates were drawn from
  ///   - prompts: for each candidate, the place of its prompt in the batch
  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) throws -> [Float]
}

/// How a scorer is shown candidates.
public enum CandidateView: Equatable, Sendable {
  /// As the clean latents that the model predicts from them, with the timestep of that prediction;
  /// finished samples as they are, with timestep 0.
  case estimated
  /// As they were drawn, with the timestep of the noise in them; 0 for finished samples.
  case drawn
}

/// The prompts of one sampling batch.
public struct PromptBatch {
  /// Stable numbers of the prompts, which key their random streams.
  public var identifiers: [UInt64]
  /// One row for each.
  public var conditioning: Conditioning

  public init(identifiers: [UInt64], conditioning: Conditioning) {
    self.identifiers = identifiers
    self.conditioning = conditioning
  }
}

/// What one sampling batch gave.
public struct SampledPairs {
  public var pairs: [CandidatePair] = []
  /// One for each timestep at which candidates part.
  public var comparisons: [Comparison] = []
  /// The scores of all candidates at the last compared step.
  public var finalScores: [Float] = []

  public var meanFinalScore: Float {
    finalScores.reduce(0, +) / Float(max(1, finalScores.count))
  }

  public struct Comparison: Equatable, Sendable {
    public var timestep: Int
    /// The gap above which pairs were kept.
    public var threshold: Double
    /// Prompts whose candidates were compared.
    public var compared: Int
    /// Those of which pairs were kept.
    public var kept: Int
    /// The sum over prompts of how much the best candidate's preference probability exceeds the worst's.
    public var gapSum: Double

    public init(timestep: Int, threshold: Double, compared: Int, kept: Int, gapSum: Double) {
      self.timestep = timestep
      self.threshold = threshold
      self.compared = compared
      self.kept = kept
      self.gapSum = gapSum
    }

    public var meanGap: Double { gapSum / Double(max(1, compared)) }
  }

  public init() {}

  /// What all groups of a batch gave, in their order.
  public init(joining groups: [SampledPairs]) {
    for group in groups { append(group) }
    // The same order however many were drawn together: by timestep, then by prompt.
    pairs.sort { ($1.timestep, $0.prompt) < ($0.timestep, $1.prompt) }
  }

  /// Adds what other prompts of the batch gave in the same steps.
  mutating func append(_ other: SampledPairs) {
    pairs += other.pairs
    finalScores += other.finalScores
    guard !comparisons.isEmpty else {
      comparisons = other.comparisons
      return
    }
    for (place, added) in other.comparisons.enumerated() {
      comparisons[place].compared += added.compared
      comparisons[place].kept += added.kept
      comparisons[place].gapSum += added.gapSum
    }
  }
}

/// Draws candidates from shared noisy latents, step by step, and keeps the best and the worst of each.
///
/// In the compared steps, several x_{t-1} are drawn from one x_t; each continues alone for the inner steps, if
/// there are any; they are judged, as they are or by the clean latents that the model predicts from them, and
/// sampling continues from one of them **chosen at random**: continuing from the best drifts away from what the model
/// samples by itself. The settings also allow the controls that this was compared with.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4 and algorithm 1
public struct CandidateSampler {
  public let unet: GuidedUNet
  public let scheduler: DDIMScheduler
  public let settings: CandidateSamplingSettings
  /// Height, width and channels of a latent.
  public let latentShape: [Int]
  /// Called before each pass of the U-Net, which at full size takes minutes; what it throws ends the sampling.
  public let checkInterruption: () throws -> Void

  public init(
    unet: GuidedUNet, scheduler: DDIMScheduler, settings: CandidateSamplingSettings,
    latentShape: [Int], checkInterruption: @escaping () throws -> Void = {}
  ) {
    self.unet = unet
    self.scheduler = scheduler
    self.settings = settings
    self.latentShape = latentShape
    self.checkInterruption = checkInterruption
  }

  /// - Parameters:
  ///   - prompts: what to generate images for
  ///   - negative: of the empty prompt, one row for all
  ///   - iteration: keys the random streams, so that every batch draws anew
  public func callAsFunction(
    _ prompts: PromptBatch, negative: Conditioning, iteration: UInt64, scorer: some CandidateScorer
  ) throws -> SampledPairs {
    SampledPairs(
      joining: try groups(of: prompts).map {
        try pairs(
          of: $0, in: prompts, negative: negative, iteration: iteration, scorer: scorer)
      })
  }

  /// The prompts that are drawn together.
  public func groups(of prompts: PromptBatch) -> [Range<Int>] {
    let (count, size) = (prompts.identifiers.count, max(1, settings.promptsAtOnce))
    return stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }

  /// What one of the groups gives.
  public func pairs(
    of group: Range<Int>, in prompts: PromptBatch, negative: Conditioning, iteration: UInt64,
    scorer: some CandidateScorer
  ) throws -> SampledPairs {
    try withoutGradients {
      var run = SamplingRun(
        sampler: self, prompts: prompts, part: group, negative: negative, iteration: iteration)
      try run.sample(scorer)
      return run.result
    }
  }
}
