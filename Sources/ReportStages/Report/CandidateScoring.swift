import Autograd
import Diffusion
import Files
import Imaging
import PreferenceModels
import ProceduralWorld
import StageSupport
import StepwiseOptimization
import TrainingStages

/// Samples candidates as in step-by-step preference optimization, and scores them by both the
/// preference model and the oracle.
struct CandidateScoring {
  let sampler: CandidateSampler
  let preference: PreferenceScorer
  let pipeline: TextToImage
  let negative: Conditioning

  /// The number of prompts sampled together.
  static let batch = 8

  /// Both scores of one prompt's candidates at one step.
  struct ScoredCandidates: Equatable {
    var prompt: Int
    /// The timestep at which the candidates diverged.
    var timestep: Int
    /// The probability gap above which a pair would be recorded.
    var threshold: Double
    var scores: [Double]
    var aesthetics: [Double]
    var agreement: [Double]
  }

  /// The results of a batch of prompts.
  struct Batch: Equatable {
    var scoredCandidates: [ScoredCandidates]
    var time: StepTime
  }

  /// The time to sample and score candidates, from one comparison to the next, without the oracle's
  /// share.
  struct StepTime: Equatable {
    var seconds = 0.0
    /// One per prompt and comparison.
    var steps = 0

    static func + (a: StepTime, b: StepTime) -> StepTime {
      StepTime(seconds: a.seconds + b.seconds, steps: a.steps + b.steps)
    }

    var secondsPerStep: Double { seconds / Double(max(1, steps)) }
  }

  /// - Parameters:
  ///   - prompts: all prompts of the report
  ///   - range: those to sample
  ///   - draw: distinguishes several samplings of a prompt
  func callAsFunction(
    _ prompts: [String], _ range: Range<Int>, draw: Int
  ) throws -> Batch {
    let tokenizer = pipeline.promptEncoder.configuration.parts[0].tokenizer
    let scored = try range.map {
      ScoredPrompt(text: prompts[$0], ids: try tokenizer.encode(prompts[$0]))
    }
    let batch = PromptBatch(
      identifiers: range.map { UInt64($0) },
      conditioning: try pipeline.conditioning(of: range.map { prompts[$0] }))
    let scorer = OracleScorer(
      scorer: try preference.scorer(for: scored, pipeline.autoencoder), candidateScoring: self,
      conditioning: batch.conditioning, scenes: try range.map { try Scene(prompt: prompts[$0]) })
    let drawn = try sampler(
      batch, negative: negative, iteration: UInt64(draw), scorer: scorer)
    let scoredCandidates = zip(drawn.comparisons, scorer.calls).flatMap { comparison, call in
      range.map { prompt in
        let rows = call.prompts.indices.filter { call.prompts[$0] == prompt - range.lowerBound }
        return ScoredCandidates(
          prompt: prompt, timestep: comparison.timestep, threshold: comparison.threshold,
          scores: rows.map { Double(call.scores[$0]) },
          aesthetics: rows.map { call.oracle[$0].aesthetics },
          agreement: rows.map { call.oracle[$0].agreement })
      }
    }
    return Batch(
      scoredCandidates: scoredCandidates,
      time: StepTime(
        seconds: scorer.duration / .seconds(1),
        steps: range.count * max(0, scorer.calls.count - 1)))
  }

  /// Returns the x0 predictions at a timestep; finished samples are clean.
  fileprivate func estimates(
    of drawn: Tensor, at timestep: Int, _ conditioning: Conditioning
  ) throws -> Tensor {
    let (scheduler, settings) = (sampler.scheduler, sampler.settings)
    guard timestep > 0 else { return drawn }
    let rows = [Int](repeating: timestep, count: drawn.shape[0])
    return try withoutGradients {
      let output = sampler.unet(
        drawn, timesteps: rows.map { Float($0) }, conditioning: conditioning, negative: negative)
      return try scheduler.transition(from: rows, stepCount: settings.steps, eta: settings.eta)
        .predictedX0(drawn, modelOutput: output)
    }
  }
}

/// A scorer that also has the oracle score the same candidates.
private final class OracleScorer: CandidateScorer {
  private let scorer: any CandidateScorer
  private let candidateScoring: CandidateScoring
  /// The conditioning on the prompts, one row each.
  private let conditioning: Conditioning
  private let scenes: [Scene]
  private(set) var calls: [(prompts: [Int], scores: [Float], oracle: [OracleScore])] = []
  /// The time between calls, without the oracle's share.
  private(set) var duration = Duration.zero
  private var lastCall: ContinuousClock.Instant?

  init(
    scorer: any CandidateScorer, candidateScoring: CandidateScoring, conditioning: Conditioning,
    scenes: [Scene]
  ) {
    self.scorer = scorer
    self.candidateScoring = candidateScoring
    self.conditioning = conditioning
    self.scenes = scenes
  }

  var view: CandidateView { scorer.view }

  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) throws -> [Float] {
    let scores = try scorer.scores(
      of: latents, timestep: timestep, drawnFrom: source, prompts: prompts)
    if let lastCall { duration += lastCall.duration(to: .now) }
    defer { lastCall = .now }
    let clean =
      try view == .estimated
      ? latents
      : candidateScoring.estimates(of: latents, at: timestep, conditioning.rows(at: prompts))
    let images = try rgbImages(try candidateScoring.pipeline.autoencoder.images(of: clean))
    let oracle = try zip(images, prompts).map { image, prompt in
      OracleScore(
        of: try WorldImage(image, name: "a candidate of prompt \(prompt)"), as: scenes[prompt])
    }
    calls.append((prompts, scores, oracle))
    return scores
  }
}

// MARK: - Files

extension CandidateScoring.Batch {
  var json: JSON {
    [
      "seconds": .number(time.seconds), "steps": .integer(time.steps),
      "judgements": .array(scoredCandidates.map(\.json)),
    ]
  }

  init(_ reader: JSONReader) throws {
    time = CandidateScoring.StepTime(
      seconds: try reader.double("seconds"), steps: try reader.int("steps"))
    scoredCandidates = try reader["judgements"].elements().map {
      try CandidateScoring.ScoredCandidates($0)
    }
  }
}

extension CandidateScoring.ScoredCandidates {
  fileprivate var json: JSON {
    [
      "prompt": .integer(prompt), "timestep": .integer(timestep),
      "threshold": .number(threshold),
      "scores": .array(scores.map { .number($0) }),
      "aesthetics": .array(aesthetics.map { .number($0) }),
      "agreement": .array(agreement.map { .number($0) }),
    ]
  }

  fileprivate init(_ reader: JSONReader) throws(JSONError) {
    prompt = try reader.int("prompt")
    timestep = try reader.int("timestep")
    threshold = try reader.double("threshold")
    func doubles(_ key: String) throws(JSONError) -> [Double] {
      var values: [Double] = []
      for element in try reader[key].elements() { values.append(try element.double()) }
      return values
    }
    scores = try doubles("scores")
    aesthetics = try doubles("aesthetics")
    agreement = try doubles("agreement")
    guard scores.count == aesthetics.count, scores.count == agreement.count else {
      throw reader.unexpected(expected: "as many scores of each kind")
    }
  }
}
