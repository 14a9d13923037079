public import Autograd
public import Diffusion
import Foundation
import TensorCore

/// How trajectories are drawn and compared.
public struct CandidateSamplingSettings: Equatable, Sendable {
  public var steps: Int
  public var eta: Float
  public var candidates: Int
  /// The first step whose candidates are compared, counted from 0; before it, single samples.
  public var divertStep: Int
  /// A pair is kept if the preference probability of its best candidate exceeds that of its worst by
  /// more than this.
  public var threshold: Double
  public var seed: UInt64

  public init(
    steps: Int, eta: Float, candidates: Int, divertStep: Int, threshold: Double, seed: UInt64
  ) {
    self.steps = steps
    self.eta = eta
    self.candidates = candidates
    self.divertStep = divertStep
    self.threshold = threshold
    self.seed = seed
  }
}

/// Judges candidates for the sampling loop.
public protocol CandidateScorer {
  /// The score of each candidate.
  ///
  /// - Parameters:
  ///   - estimates: predicted clean latents, `[batch, height, width, channels]`, scaled
  ///   - timestep: the one they were estimated at; 0 for finished samples
  ///   - prompts: for each candidate, the place of its prompt in the batch
  func scores(of estimates: Tensor, timestep: Int, prompts: [Int]) throws -> [Float]
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
  /// For each compared timestep, how many prompts were compared and how many pairs were kept.
  public var steps: [(timestep: Int, compared: Int, kept: Int, meanGap: Double)] = []
  /// The mean score of all candidates at the last step.
  public var finalScore: Double = 0
}

/// Draws candidates from shared noisy latents, step by step, and keeps the best and the worst of each.
///
/// From `divertStep` on, each step draws several x_{t-1} from one x_t, judges them by the clean
/// latents that the model predicts from them, and goes on from one of them **chosen at random**: going
/// on from the best drifts away from what the model samples by itself.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4 and algorithm 1
public struct CandidateSampler {
  public let unet: GuidedUNet
  public let scheduler: DDIMScheduler
  public let settings: CandidateSamplingSettings
  /// Height, width and channels of a latent.
  public let latentShape: [Int]

  public init(
    unet: GuidedUNet, scheduler: DDIMScheduler, settings: CandidateSamplingSettings,
    latentShape: [Int]
  ) {
    self.unet = unet
    self.scheduler = scheduler
    self.settings = settings
    self.latentShape = latentShape
  }

  /// - Parameters:
  ///   - prompts: what to draw pictures of
  ///   - negative: of the empty prompt, one row for all
  ///   - iteration: keys the random streams, so that every batch draws anew
  public func callAsFunction(
    _ prompts: PromptBatch, negative: Conditioning, iteration: UInt64, scorer: some CandidateScorer
  ) throws -> SampledPairs {
    try withoutGradients {
      try sample(prompts, negative: negative, iteration: iteration, scorer: scorer)
    }
  }

  private func sample(
    _ prompts: PromptBatch, negative: Conditioning, iteration: UInt64, scorer: some CandidateScorer
  ) throws -> SampledPairs {
    var result = SampledPairs()
    let batch = prompts.identifiers.count
    let timesteps = try scheduler.timesteps(stepCount: settings.steps)
    var latents = noise("spo.initial", prompts, iteration: iteration, item: 0)
    var output = predict(latents, timesteps[0], prompts.conditioning, negative)
    for (step, timestep) in timesteps.enumerated() {
      let transition = try scheduler.transition(
        from: Array(repeating: timestep, count: batch), stepCount: settings.steps,
        eta: settings.eta)
      let sigma = transition.rows[0].sigma
      let mean = transition.mean(latents, modelOutput: output)
      let isCompared = step >= settings.divertStep && sigma > 0
      let count = isCompared ? settings.candidates : 1

      // Candidate c of prompt p is row c * batch + p.
      let candidates = concatenated(
        (0..<count).map { candidate in
          transition.sample(
            mean: mean,
            noise: noise(
              "spo.step", prompts, iteration: iteration, item: UInt64(step * 1024 + candidate)))
        }, axis: 0)
      let isLast = step == timesteps.count - 1
      let next = isLast ? 0 : timesteps[step + 1]
      let nextOutput =
        isLast ? nil : predict(candidates, next, prompts.conditioning.repeated(count), negative)
      if isCompared {
        let estimates =
          try nextOutput.map { nextOutput in
            try scheduler.transition(
              from: Array(repeating: next, count: count * batch), stepCount: settings.steps,
              eta: settings.eta
            ).predictedOriginal(candidates, modelOutput: nextOutput)
          } ?? candidates
        let scores = try scorer.scores(
          of: estimates, timestep: next, prompts: (0..<count * batch).map { $0 % batch })
        record(
          scores, candidates: candidates, latents: latents, timestep: timestep, into: &result)
      }

      // Go on from one candidate of each prompt, whichever.
      let chosen = prompts.identifiers.enumerated().map { place, identifier in
        var stream = RandomStream(
          seed: settings.seed, purpose: "spo.continue", item: iteration, identifier, UInt64(step))
        return stream.integer(below: count) * batch + place
      }
      latents = candidates.rows(at: chosen)
      if let nextOutput { output = nextOutput.rows(at: chosen) }
    }
    return result
  }

  private func predict(
    _ latents: Tensor, _ timestep: Int, _ conditioning: Conditioning,
    _ negative: Conditioning
  ) -> Tensor {
    unet(
      latents, timesteps: [Float](repeating: Float(timestep), count: latents.shape[0]),
      conditioning: conditioning, negative: negative)
  }

  /// Standard normal noise, each prompt's from a stream of its own.
  private func noise(
    _ purpose: String, _ prompts: PromptBatch, iteration: UInt64, item: UInt64
  ) -> Tensor {
    let size = latentShape.reduce(1, *)
    let result = Tensor(uninitialized: [prompts.identifiers.count] + latentShape)
    for (place, identifier) in prompts.identifiers.enumerated() {
      var stream = RandomStream(
        seed: settings.seed, purpose: purpose, item: iteration, identifier, item)
      stream.fillNormal(
        UnsafeMutableBufferPointer(start: result.pointer + place * size, count: size))
    }
    return result
  }

  /// Keeps the best and the worst candidate of each prompt where the scores tell them apart.
  private func record(
    _ scores: [Float], candidates: Tensor, latents: Tensor, timestep: Int,
    into result: inout SampledPairs
  ) {
    let batch = latents.shape[0]
    var kept = 0
    var gaps = 0.0
    for prompt in 0..<batch {
      let rows = stride(from: prompt, to: scores.count, by: batch)
      guard let best = rows.max(by: { scores[$0] < scores[$1] }),
        let worst = rows.min(by: { scores[$0] < scores[$1] })
      else { continue }
      // p_best - p_worst of the softmax over the two: tanh of half their difference.
      let gap = tanh(Double(scores[best] - scores[worst]) / 2)
      gaps += gap
      guard gap > settings.threshold else { continue }
      kept += 1
      result.pairs.append(
        CandidatePair(
          timestep: timestep, latent: latents.slice(axis: 0, prompt..<prompt + 1),
          win: candidates.slice(axis: 0, best..<best + 1),
          lose: candidates.slice(axis: 0, worst..<worst + 1), prompt: prompt))
    }
    result.steps.append((timestep, batch, kept, gaps / Double(batch)))
    result.finalScore = Double(scores.reduce(0, +)) / Double(scores.count)
  }
}
