import Autograd
import Diffusion
import Foundation
import NN
import RandomStreams

/// The sampling of some of a batch's prompts; row `c * prompts + p` is candidate c of prompt p.
struct SamplingRun {
  let sampler: CandidateSampler
  let identifiers: ArraySlice<UInt64>
  let conditioning: Conditioning
  let negative: Conditioning
  let iteration: UInt64
  private var comparedSteps: Range<Int>
  private(set) var result = SampledPairs()
  /// The steps since the candidates diverged; empty while there is one per prompt.
  private var trail: [Step] = []

  private struct Step {
    let timestep: Int
    let latents: Tensor
    let next: Tensor
  }

  init(
    sampler: CandidateSampler, prompts: PromptBatch, part: Range<Int>, negative: Conditioning,
    iteration: UInt64
  ) {
    self.sampler = sampler
    identifiers = prompts.identifiers[part]
    conditioning = prompts.conditioning.rows(at: Array(part))
    self.negative = negative
    self.iteration = iteration
    comparedSteps = sampler.settings.comparedSteps
  }

  private var settings: CandidateSamplingSettings { sampler.settings }
  private var count: Int { identifiers.count }

  mutating func sample(_ scorer: some CandidateScorer) throws {
    let timesteps = try sampler.scheduler.timesteps(stepCount: settings.steps)
    let sigmas = try timesteps.map { try transition(from: $0, rows: 1).rows[0].sigma }
    comparedSteps = settings.comparedSteps(
      inBatch: iteration, noisy: 0..<(sigmas.lastIndex { $0 > 0 }.map { $0 + 1 } ?? 0))
    var latents = noise("spo.initial", item: 0)
    var output = try predict(latents, timesteps[0])
    var partedAt: Int?
    for (step, timestep) in timesteps.enumerated() {
      // Nothing is left to compare.
      if partedAt == nil, step >= comparedSteps.upperBound { break }
      if partedAt == nil, comparedSteps.contains(step), sigmas[step] > 0 {
        partedAt = step
        latents = latents.repeated(settings.candidates)
        output = output.repeated(settings.candidates)
      }
      let rows = latents.shape[0]
      let transition = try transition(from: timestep, rows: rows)
      let drawn = transition.sample(
        mean: transition.mean(latents, modelOutput: output), noise: noise(step: step, rows: rows))
      // A deterministic step has no density to learn from.
      if partedAt != nil, sigmas[step] > 0, isLearned(step) {
        trail.append(Step(timestep: timestep, latents: latents, next: drawn))
      }
      latents = drawn

      let next = step + 1 < timesteps.count ? timesteps[step + 1] : nil
      let isJudged = partedAt.map { next == nil || areJudged(after: step - $0) } ?? false
      let threshold = threshold(sigmas, at: partedAt ?? step)
      guard isJudged else {
        if let next { output = try predict(latents, next) }
        continue
      }
      switch scorer.view {
      case .drawn:
        let scores = try scores(scorer, latents, next ?? 0, drawnFrom: timestep)
        record(scores, threshold)
        latents = latents.rows(at: chosenRows(scores, step: step))
        if let next { output = try predict(latents, next) }
      case .estimated:
        guard let next else {
          record(try scores(scorer, latents, 0, drawnFrom: timestep), threshold)
          break
        }
        output = try predict(latents, next)
        let estimates = try self.transition(from: next, rows: rows)
          .predictedX0(latents, modelOutput: output)
        let scores = try scores(scorer, estimates, next, drawnFrom: timestep)
        record(scores, threshold)
        let chosen = chosenRows(scores, step: step)
        latents = latents.rows(at: chosen)
        output = output.rows(at: chosen)
      }
      partedAt = nil
    }
  }

  private func scores(
    _ scorer: some CandidateScorer, _ latents: Tensor, _ timestep: Int, drawnFrom source: Int
  ) throws -> [Float] {
    let positions = (0..<latents.shape[0]).map { identifiers.startIndex + $0 % count }
    try latents.requiringFinite("scheduler, timestep \(timestep)")
    let scores = try scorer.scores(
      of: latents, timestep: timestep, drawnFrom: source, prompts: positions)
    if let score = scores.first(where: { !$0.isFinite }) {
      throw NonFiniteError("preference model, timestep \(timestep)", isNaN: score.isNaN)
    }
    return scores
  }

  /// Returns the gap above which pairs of candidates that diverged at a step are kept.
  private func threshold(_ sigmas: [Float], at step: Int) -> Double {
    let bounds = settings.thresholds
    guard let least = sigmas.min(), let most = sigmas.max(), most > least else {
      return bounds.lowerBound
    }
    let share = Double((sigmas[step] - least) / (most - least))
    return bounds.lowerBound + (bounds.upperBound - bounds.lowerBound) * share
  }

  private func transition(from timestep: Int, rows: Int) throws -> DDIMTransition {
    try sampler.scheduler.transition(
      from: [Int](repeating: timestep, count: rows), stepCount: settings.steps, eta: settings.eta)
  }

  private func predict(_ latents: Tensor, _ timestep: Int) throws -> Tensor {
    try sampler.checkInterruption()
    let rows = latents.shape[0]
    return try sampler.unet(
      latents, timesteps: [Float](repeating: Float(timestep), count: rows),
      conditioning: conditioning.repeated(rows / count), negative: negative
    ).requiringFinite("unet, timestep \(timestep)")
  }

  /// Whether candidates are scored this many steps after they diverged.
  private func areJudged(after steps: Int) -> Bool {
    settings.labels == .step && steps == settings.innerSteps
  }

  /// Whether a step of candidates that continue alone is trained on.
  private func isLearned(_ step: Int) -> Bool {
    settings.labels == .step || comparedSteps.contains(step)
  }

  /// Returns the rows of the candidates of one prompt.
  private func rows(of prompt: Int, _ scores: [Float]) -> StrideTo<Int> {
    stride(from: prompt, to: scores.count, by: count)
  }

  private func best(_ prompt: Int, _ scores: [Float]) -> Int? {
    rows(of: prompt, scores).max { scores[$0] < scores[$1] }
  }

  private func worst(_ prompt: Int, _ scores: [Float]) -> Int? {
    rows(of: prompt, scores).min { scores[$0] < scores[$1] }
  }

  /// Returns the rows of each prompt's candidate from which sampling continues.
  private func chosenRows(_ scores: [Float], step: Int) -> [Int] {
    identifiers.enumerated().map { prompt, identifier in
      switch settings.continuation {
      case .best: best(prompt, scores) ?? prompt
      case .worst: worst(prompt, scores) ?? prompt
      case .random: randomCandidate(of: identifier, step: step) * count + prompt
      }
    }
  }

  /// Chosen uniformly.
  private func randomCandidate(of identifier: UInt64, step: Int) -> Int {
    var stream = RandomStream(
      seed: settings.seed, purpose: "spo.continue", item: iteration, identifier, UInt64(step))
    return stream.integer(below: settings.candidates)
  }

  private func noise(step: Int, rows: Int) -> Tensor {
    concatenated(
      (0..<rows / count).map { noise("spo.step", item: UInt64(step * 1024 + $0)) }, axis: 0)
  }

  /// Returns standard normal noise, each prompt's from its own stream.
  private func noise(_ purpose: String, item: UInt64) -> Tensor {
    Tensor(rows: count, of: sampler.latentShape) { place, row in
      var stream = RandomStream(
        seed: settings.seed, purpose: purpose, item: iteration,
        identifiers[identifiers.startIndex + place], item)
      stream.fillNormal(row)
    }
  }

  /// Keeps the steps of the best and the worst candidate of each prompt if their scores differ
  /// enough.
  private mutating func record(_ scores: [Float], _ threshold: Double) {
    var comparison = SampledPairs.Comparison(
      timestep: trail[0].timestep, threshold: threshold, compared: count, kept: 0, gapSum: 0)
    for prompt in 0..<count {
      guard let best = best(prompt, scores), let worst = worst(prompt, scores) else { continue }
      // p_best - p_worst of the softmax over the two: tanh of half their difference.
      let gap = tanh(Double(scores[best] - scores[worst]) / 2)
      comparison.gapSum += gap
      guard gap > threshold else { continue }
      comparison.kept += 1
      for (place, step) in trail.enumerated() {
        result.pairs.append(
          CandidatePair(
            timestep: step.timestep, win: draw(best, step), lose: draw(worst, step),
            sharesLatent: place == 0, prompt: identifiers.startIndex + prompt))
      }
    }
    result.comparisons.append(comparison)
    result.finalScores = scores
    trail = []
  }

  private func draw(_ row: Int, _ step: Step) -> CandidatePair.Draw {
    CandidatePair.Draw(
      latent: step.latents.slice(axis: 0, row..<row + 1),
      next: step.next.slice(axis: 0, row..<row + 1))
  }
}
