import Diffusion
public import PipelineCore

/// Settings of stage `report`.
public struct ReportSettings: StageSettings {
  @Setting("The diffusion model before tuning: a diffusers folder or a checkpoint file.")
  public var model = ""
  @Setting("Folder with the tokenizer, for a checkpoint file; null: the model's own.")
  public var tokenizer: String? = nil
  @Setting("Seed of all random streams.")
  public var seed: UInt64 = 42
  @Setting("JSON list of prompts to sample, such as [{\"caption\": \"...\"}].")
  public var prompts = ""
  @Setting("Images per prompt, from the same noise before and after tuning.", in: 1...100)
  public var picturesPerPrompt = 4
  @Setting("DDIM sampling steps.", in: 1...1_000)
  public var samplingSteps = 20
  @Setting("Classifier-free guidance scale.", in: 0...100)
  public var guidance: Float = 5
  @Setting("Noise of the DDIM steps: 0 is deterministic, 1 is ancestral sampling.", in: 0...1)
  public var eta: Float = 0
  @Setting("What scores the images: nothing, or the oracle of the embedded world.")
  public var oracle = Oracle.none
  @Setting("Draws of each prompt's candidates for the oracle to judge.", in: 1...100)
  public var candidateDraws = 2
  @Setting("Prompts that the report shows.", in: 0...10_000)
  public var shownPrompts = 12
  @Setting(
    "The summary.json files of other runs to compare with; those not there yet are left out.")
  public var beside: [String] = []

  public enum Oracle: String, CaseIterable, Codable, Sendable {
    case none
    case proceduralWorld = "procedural-world"
  }

  public init() {}

  public func check() throws(SettingConflict) {
    try requireModel(model)
    guard !prompts.isEmpty else {
      throw SettingConflict("prompts", "is missing: a JSON list of prompts to sample")
    }
  }

  var base: ModelFolder { ModelFolder(path: model, tokenizer: tokenizer) }
}
