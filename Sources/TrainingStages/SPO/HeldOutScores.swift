import Autograd
import Diffusion
import Files
import Shards
import StepwiseOptimization

/// How the preference model judges images of held-out prompts while the model learns to please it, always from the same
/// noise.
///
/// The prompts are new to both; the judge is the one that is learned from. So this falls where what was learned does not
/// carry over to other prompts, and tells nothing of what the judge itself gets wrong.
struct HeldOutScores {
  let images: HeldOutPictures
  let prompts: Range<Int>
  /// Sampling batches from one score to the next.
  let interval: Int

  /// - Returns: nil where none are asked for
  init?(_ settings: SPOSettings, _ images: HeldOutPictures) {
    guard let interval = settings.heldOutEvery else { return nil }
    self.images = images
    self.interval = interval
    prompts = 0..<min(settings.heldOutPrompts, images.shards.promptCount)
  }

  /// Whether the model is judged after so many batches.
  func areDue(after batch: Int, of count: Int) -> Bool {
    batch.isMultiple(of: interval) || batch == count
  }

  /// The mean score of finished images.
  ///
  /// - Parameter checkInterruption: called before each image; what it throws ends it
  func mean(_ tuner: StepwiseTuner, checkInterruption: () throws -> Void) throws -> Float {
    let judged = try prompts.map { number in
      let prompt = try images.shards.prompt(number)
      return JudgedPrompt(text: prompt.text, ids: prompt.inputIDs)
    }
    let scorer = try tuner.scorer(for: judged)
    return try prompts.reduce(Float(0)) {
      try checkInterruption()
      return try $0 + score(of: $1, tuner, scorer) / Float(prompts.count)
    }
  }

  /// One at a time: memory must do for no more than training takes.
  func score(
    of prompt: Int, _ tuner: StepwiseTuner, _ scorer: any CandidateScorer
  ) throws -> Float {
    let latents = try images.latents(of: prompt, tuner.tuned, negative: tuner.negative)
    let last = try tuner.scheduler.timesteps(stepCount: images.steps).last ?? 0
    // As finished candidates are judged.
    let scores = try scorer.scores(of: latents, timestep: 0, drawnFrom: last, prompts: [prompt])
    return scores[0]
  }
}

extension JSON.Object {
  /// The score of a line of `metrics.jsonl`, under the key that it has there.
  mutating func setHeldOutScore(_ score: Float, beforeTraining: Bool = false) {
    self[beforeTraining ? "held_out_score_before" : "held_out_score"] = .number(Double(score))
  }
}
