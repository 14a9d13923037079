import Diffusion
public import PipelineCore

/// Settings of stage `report`.
public struct ReportSettings: StageSettings {
  /// The model before tuning, a folder or a checkpoint file.
  public var model = ""
  /// A folder with the tokenizer, for a checkpoint file; null: the model's own.
  public var tokenizer: String?
  public var seed: UInt64 = 42
  /// A JSON list of prompts to draw, `[{"caption": "..."}]`.
  public var prompts = ""
  /// Pictures of each prompt, each from a noise of its own, the same before and after.
  public var picturesPerPrompt = 4
  public var samplingSteps = 20
  public var guidance: Float = 5
  /// How much noise each step adds, from 0, none, as in the published validation, to 1.
  public var eta: Float = 0
  /// What judges the pictures: nothing, or the embedded world's oracle.
  public var oracle = Oracle.none
  /// How often candidates of each prompt are drawn for the oracle to judge.
  public var candidateDraws = 2
  /// Prompts that the report shows.
  public var shownPrompts = 12

  /// `report/summary.json` of other runs, whose figures stand beside this one's where there are any yet.
  public var beside: [String] = []

  public enum Oracle: String, Codable, Sendable {
    case none
    case proceduralWorld = "procedural-world"
  }

  public init() {}

  var base: ModelFolder { ModelFolder(path: model, tokenizer: tokenizer) }
}
