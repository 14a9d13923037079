import Autograd
import Diffusion
import Files
import Imaging
import PipelineCore
import ProceduralWorld
import Scorers
import Shards
import StageSupport
import StepwiseOptimization

/// The scoring of held-out images while the model is tuned to please the preference model, always
/// from the same noise.
///
/// The preference model's own score falls if the tuning does not generalize to other prompts, but
/// does not reveal what that model gets wrong: it keeps rising when tuning has gone too far.
/// Scorers that are not used for training reveal that.
struct HeldOutScores {
  private let heldOut: HeldOutImages
  let prompts: Range<Int>
  /// The number of sampling batches between scores.
  let interval: Int
  private let scorers: NamedScorers
  private let oracle: Oracle
  private let model: ModelFolder

  /// The scores of all images after the same batch.
  struct Measurement {
    /// The preference model's score of each image.
    var scores: [Double] = []
    /// The scores of other scorers, by image.
    var others: [(scorer: String, scores: [Double])] = []

    /// The mean score of the preference model.
    var score: Double { scores.reduce(0, +) / Double(max(1, scores.count)) }
  }

  /// - Returns: nil if no scores are requested
  init?(_ settings: SPOSettings, _ heldOut: HeldOutImages) {
    guard let interval = settings.heldOutEvery else { return nil }
    self.heldOut = heldOut
    self.interval = interval
    prompts = 0..<min(settings.heldOutPrompts, heldOut.shards.promptCount)
    scorers = NamedScorers(settings.heldOutScorers)
    oracle = settings.heldOutOracle
    model = settings.base
  }

  /// Whether images are scored after this batch.
  func areDue(after batch: Int, of count: Int) -> Bool {
    batch.isMultiple(of: interval) || batch == count
  }

  /// Opens every scorer once, so that an error in the last does not surface hours later.
  func requireReadable() throws {
    for (kind, path) in scorers.all { _ = try scorer(kind, path) }
    try oracle.requireFit(
      model, setting: "spo.held_out_oracle", prompts: try texts(), from: "the held-out split")
  }

  private func scorer(_ kind: ScorerKind, _ path: String) throws -> Scorer {
    try Scorer(kind, path: path, tokenizer: try model.tokenizer())
  }

  private func texts() throws -> [String] {
    try prompts.map { try heldOut.shards.prompt($0).text }
  }

  /// - Parameter checkInterruption: called before each image; an error ends the measurement
  func measure(
    _ tuner: StepwiseTuner, checkInterruption: () throws -> Void
  ) throws -> Measurement {
    let scored = try prompts.map { number in
      let prompt = try heldOut.shards.prompt(number)
      return ScoredPrompt(text: prompt.text, ids: prompt.inputIDs)
    }
    let scorer = try tuner.scorer(for: scored)
    var measurement = Measurement()
    var images: [RGBImage] = []
    for prompt in prompts {
      try checkInterruption()
      let (score, image) = try measure(prompt, tuner, scorer)
      measurement.scores.append(Double(score))
      if let image { images.append(image) }
    }
    measurement.others = try otherScores(of: images, checkInterruption)
    return measurement
  }

  /// Samples one prompt at a time, to need no more memory than training.
  ///
  /// - Returns: the preference model's score, and the image if other scorers need it
  func measure(
    _ prompt: Int, _ tuner: StepwiseTuner, _ scorer: any CandidateScorer
  ) throws -> (score: Float, image: RGBImage?) {
    let latents = try heldOut.latents(of: prompt, tuner.tuned, negative: tuner.negative)
    let last = try tuner.scheduler.timesteps(stepCount: heldOut.steps).last ?? 0
    // As for finished candidates.
    let score = try scorer.scores(of: latents, timestep: 0, drawnFrom: last, prompts: [prompt])[0]
    guard !scorers.all.isEmpty || oracle != .none else { return (score, nil) }
    let decoded = try withoutGradients { try tuner.autoencoder.images(of: latents) }
    return (score, try RGBImage(decoded: decoded))
  }

  /// Returns the other scores, with one published scorer in memory at a time.
  private func otherScores(
    of images: [RGBImage], _ checkInterruption: () throws -> Void
  ) throws -> [(scorer: String, scores: [Double])] {
    var others: [(scorer: String, scores: [Double])] = []
    for (kind, path) in scorers.all {
      let scorer = try scorer(kind, path)
      others.append(
        (
          kind.rawValue,
          try zip(images, texts()).flatMap { image, text in
            try checkInterruption()
            return try scorer([image], prompt: text).scores
          }
        ))
    }
    guard oracle == .proceduralWorld else { return others }
    let scores = try zip(images, texts()).map { image, text in
      OracleScore(
        of: try WorldImage(image, name: "held-out image of \"\(text)\""),
        as: try Scene(prompt: text))
    }
    return others + [
      ("aesthetics", scores.map(\.aesthetics)), ("agreement", scores.map(\.agreement)),
    ]
  }
}

extension HeldOutScores.Measurement {
  /// The name of the preference model among the scorers.
  static let preference = "preference"

  /// Adds the scores to a line of `metrics.jsonl`: the means, and the scores of all images.
  ///
  /// - Parameter beforeTraining: whether they precede the first batch
  func add(to figures: inout JSON.Object, beforeTraining: Bool = false) {
    let suffix = beforeTraining ? "_before" : ""
    func mean(_ scores: [Double]) -> JSON {
      .number(scores.reduce(0, +) / Double(max(1, scores.count)))
    }
    figures["held_out_score\(suffix)"] = .number(score)
    for (scorer, scores) in others { figures["held_out_\(scorer)\(suffix)"] = mean(scores) }
    figures["held_out_scores\(suffix)"] = .object(
      ([(scorer: Self.preference, scores: scores)] + others).reduce(into: JSON.Object()) {
        $0[$1.scorer] = .array($1.scores.map { .number($0) })
      })
  }
}
