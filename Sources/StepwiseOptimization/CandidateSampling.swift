public import Autograd
public import Diffusion
import RandomStreams

/// The settings for sampling and comparing trajectories.
public struct CandidateSamplingSettings: Equatable, Sendable {
  public var steps: Int
  public var eta: Float
  public var candidates: Int
  /// The steps whose candidates are compared, counted from 0; earlier steps have single samples.
  public var comparedSteps: Range<Int>
  /// The number of these that are compared per batch, consecutive from a random start; nil: all.
  ///
  /// - Source: MixGRPO, Li et al. 2025, arXiv 2507.21802, whose window slides; here it is random
  ///   for every batch
  public var window: Int?
  /// The number of steps that each candidate continues alone before it is scored.
  public var innerSteps: Int
  /// A pair is kept if the preference probability of its best candidate exceeds that of its worst
  /// by more than this: the lower bound at the step with the least noise, the upper bound at the
  /// one with the most, and between them proportional to the noise.
  public var thresholds: ClosedRange<Double>
  public var labels: Labels
  public var continuation: Continuation
  /// The number of prompts sampled together.
  ///
  /// Each has its own random streams, so its samples depend on the rest of the batch only in the
  /// last bits: products and convolutions of few rows are summed in another order than those of
  /// many.
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
  /// Returns the steps whose candidates are compared in one batch.
  ///
  /// - Parameter noisy: the steps that add noise
  func comparedSteps(inBatch iteration: UInt64, noisy: Range<Int>) -> Range<Int> {
    let steps = comparedSteps.clamped(to: noisy)
    guard let window, window < steps.count else { return comparedSteps }
    var stream = RandomStream(seed: seed, purpose: "spo.window", item: iteration)
    let first = steps.lowerBound + stream.integer(below: steps.count - window + 1)
    return first..<first + window
  }

  /// The samples that are scored to label a step.
  public enum Labels: String, CaseIterable, Codable, Sendable {
    /// The result of this step, after the inner steps.
    case step
    /// The finished sample: candidates diverge once, at the first compared step, and continue alone
    /// to the end; every compared step on the way to the best and to the worst gets their labels.
    ///
    /// - Source: Yang et al. 2023, arXiv 2311.13231 (D3PO), as the control of Liang et al. 2024
    case trajectory
  }

  /// The candidate from which sampling continues after scoring.
  public enum Continuation: String, CaseIterable, Codable, Sendable {
    case random
    case best
    case worst
  }
}

/// A scorer of candidates for the sampling loop.
public protocol CandidateScorer {
  var view: CandidateView { get }

  /// Returns the score of each candidate.
  ///
  /// - Parameters:
  ///   - latents: the candidates according to `view`, scaled, `[batch, height, width, channels]`
  ///   - timestep: the timestep according to `view`
  ///   - source: the timestep that the candidates were sampled from
  ///   - prompts: for each candidate, the index of its prompt in the batch
  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) throws -> [Float]
}

/// The form in which a scorer sees candidates.
public enum CandidateView: Equatable, Sendable {
  /// As the model's x0 predictions, with the timestep of that prediction; finished samples
  /// unchanged, with timestep 0.
  case estimated
  /// As sampled, with the timestep of the noise in them; 0 for finished samples.
  case drawn
}

/// The prompts of one sampling batch.
public struct PromptBatch {
  /// Stable numbers of the prompts, which key their random streams.
  public var identifiers: [UInt64]
  /// One row per prompt.
  public var conditioning: Conditioning

  public init(identifiers: [UInt64], conditioning: Conditioning) {
    self.identifiers = identifiers
    self.conditioning = conditioning
  }
}

/// The result of one sampling batch.
public struct SampledPairs {
  public var pairs: [CandidatePair] = []
  /// One per timestep at which candidates diverge.
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
    /// The number of prompts whose candidates were compared.
    public var compared: Int
    /// The number of those with kept pairs.
    public var kept: Int
    /// The sum over prompts of the difference between the best and the worst candidate's preference
    /// probability.
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

  /// Combines the results of all groups of a batch, in order.
  public init(joining groups: [SampledPairs]) {
    for group in groups { append(group) }
    // The same order however many were sampled together: by timestep, then by prompt.
    pairs.sort { ($1.timestep, $0.prompt) < ($0.timestep, $1.prompt) }
  }

  /// Adds the results of other prompts of the batch in the same steps.
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

/// Samples candidates from shared noisy latents, step by step, and keeps the best and the worst of
/// each.
///
/// In the compared steps, several x_{t-1} are sampled from one x_t; each continues alone for the
/// inner steps, if there are any; they are scored, directly or by the model's x0 predictions, and
/// sampling continues from one of them **chosen at random**: continuing from the best drifts away
/// from the model's own distribution. The settings also allow the controls of the original
/// comparison.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4 and algorithm 1
public struct CandidateSampler {
  public let unet: GuidedUNet
  public let scheduler: DDIMScheduler
  public let settings: CandidateSamplingSettings
  /// Height, width and channels of a latent.
  public let latentShape: [Int]
  /// Called before each pass of the U-Net, which at full size takes minutes; an error ends the
  /// sampling.
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
  ///   - prompts: the prompts to generate images for
  ///   - negative: the conditioning on the empty prompt, one row for all
  ///   - iteration: keys the random streams, so that every batch is sampled anew
  public func callAsFunction(
    _ prompts: PromptBatch, negative: Conditioning, iteration: UInt64, scorer: some CandidateScorer
  ) throws -> SampledPairs {
    SampledPairs(
      joining: try groups(of: prompts).map {
        try pairs(
          of: $0, in: prompts, negative: negative, iteration: iteration, scorer: scorer)
      })
  }

  /// Returns the prompts that are sampled together.
  public func groups(of prompts: PromptBatch) -> [Range<Int>] {
    let (count, size) = (prompts.identifiers.count, max(1, settings.promptsAtOnce))
    return stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }

  /// Returns the result of one of the groups.
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
