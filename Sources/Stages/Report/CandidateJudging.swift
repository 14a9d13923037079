import Autograd
import Diffusion
import Files
import Imaging
import PreferenceModels
import ProceduralWorld
import StepwiseOptimization

/// Draws candidates as step-by-step preference optimization does, and asks the preference model and the
/// oracle about the same pictures.
struct CandidateJudging {
  let sampler: CandidateSampler
  let preference: PreferenceModel
  let pipeline: TextToImage
  let negative: Conditioning

  /// Prompts that are drawn together.
  static let batch = 8

  /// What both say of the candidates of one prompt at one step.
  struct Judgement: Equatable {
    var prompt: Int
    /// The one at which the candidates parted.
    var timestep: Int
    var scores: [Double]
    var aesthetics: [Double]
    var agreement: [Double]
  }

  /// - Parameters:
  ///   - prompts: all prompts of the report
  ///   - range: those to draw
  ///   - draw: tells apart several draws of a prompt
  func callAsFunction(
    _ prompts: [String], _ range: Range<Int>, draw: Int
  ) throws -> [Judgement] {
    let tokenizer = pipeline.promptEncoder.configuration.parts[0].tokenizer
    let ids = try range.map { try tokenizer.encode(prompts[$0]) }
    let scorer = OracleScorer(
      scorer: PreferenceScorer(
        model: preference, autoencoder: pipeline.autoencoder,
        texts: withoutGradients { preference.textEmbedding(ids) }),
      scenes: try range.map { try Scene(prompt: prompts[$0]) })
    let drawn = try sampler(
      PromptBatch(
        identifiers: range.map { UInt64($0) },
        conditioning: try pipeline.conditioning(of: range.map { prompts[$0] })),
      negative: negative, iteration: UInt64(draw), scorer: scorer)
    return zip(drawn.comparisons, scorer.calls).flatMap { comparison, call in
      range.map { prompt in
        let rows = call.prompts.indices.filter { call.prompts[$0] == prompt - range.lowerBound }
        return Judgement(
          prompt: prompt, timestep: comparison.timestep,
          scores: rows.map { Double(call.scores[$0]) },
          aesthetics: rows.map { call.oracle[$0].aesthetics },
          agreement: rows.map { call.oracle[$0].agreement })
      }
    }
  }
}

/// A scorer that lets the oracle judge what it scores.
private final class OracleScorer: CandidateScorer {
  private let scorer: PreferenceScorer
  private let scenes: [Scene]
  private(set) var calls: [(prompts: [Int], scores: [Float], oracle: [OracleScore])] = []

  init(scorer: PreferenceScorer, scenes: [Scene]) {
    self.scorer = scorer
    self.scenes = scenes
  }

  func scores(of estimates: Tensor, timestep: Int, prompts: [Int]) throws -> [Float] {
    let scores = scorer.scores(of: estimates, timestep: timestep, prompts: prompts)
    let pictures = images(scorer.pictures(of: estimates))
    let oracle = zip(pictures, prompts).map { picture, prompt in
      OracleScore(of: Picture(bytes: picture.pixels), as: scenes[prompt])
    }
    calls.append((prompts, scores, oracle))
    return scores
  }
}

// MARK: - Files

extension CandidateJudging.Judgement {
  var json: JSON {
    [
      "prompt": .integer(prompt), "timestep": .integer(timestep),
      "scores": .array(scores.map { .number($0) }),
      "aesthetics": .array(aesthetics.map { .number($0) }),
      "agreement": .array(agreement.map { .number($0) }),
    ]
  }

  init(_ reader: JSONReader) throws(JSONError) {
    prompt = try reader.int("prompt")
    timestep = try reader.int("timestep")
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
