import Evaluation
public import PipelineCore
public import StageSupport

/// Settings of stage `report`.
public struct ReportSettings: ModelSettings {
  @Setting("The diffusion model before tuning: a diffusers folder or a checkpoint file.")
  public var model = ""
  @Setting("Tokenizer folder, for a checkpoint file; null: the model's own.")
  public var tokenizer: String? = nil
  @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
  public var vae: String? = nil
  @Setting("Seed of all random streams.")
  public var seed: UInt64 = 42
  @Setting(
    "Prompt list to sample, in any format of spo evaluate, or a split that no stage trains on, such as "
      + "validation_unique.")
  public var prompts = ""
  @Setting("Images per prompt, from the same noise before and after tuning.", in: 1...100)
  public var picturesPerPrompt = 4
  @Setting("DDIM sampling steps.", in: 1...1_000)
  public var samplingSteps = 20
  @Setting(
    "Classifier-free guidance scale, or several, each sampled and scored separately.", in: 0...100
  )
  public var guidance = GuidanceScales([5])
  @Setting("DDIM eta: 0 is deterministic, 1 is ancestral sampling.", in: 0...1)
  public var eta: Float = 0
  @Setting(
    "A LoRA that guidance steers tuned images away from (Diffusion-NPO), FILE or FILE=WEIGHT; null: none."
  )
  public var negativeLora: String? = nil
  @Setting(
    "Published scorers for the images, as in spo evaluate, each with its weights: { pickscore: DIR }."
  )
  public var scorers: [String: String] = [:]
  @Setting("Additional scorer of the images: none, or the oracle of the built-in world.")
  public var oracle = Oracle.none
  @Setting("Sets of candidates per prompt for the oracle to judge; 0: none.", in: 0...100)
  public var candidateDraws = 2
  @Setting("Prompts that the report shows.", in: 0...10_000)
  public var shownPrompts = 12
  @Setting(
    "The summary.json files of other runs to compare with; missing ones are skipped.")
  public var beside: [String] = []

  public init() {}

  public func check() throws(SettingConflict) {
    try requireModel()
    guard !prompts.isEmpty else {
      throw SettingConflict(
        "prompts", "is missing: a prompt list to sample, or a held-out split")
    }
    guard !scales.isEmpty, Set(scales).count == scales.count else {
      throw SettingConflict("guidance", "must list at least one scale, and each only once")
    }
    if let negativeLora {
      guard !NegativeLoRA(negativeLora).path.isEmpty else {
        throw SettingConflict("negative_lora", "must name a LoRA file, but is \"\(negativeLora)\"")
      }
      guard !scales.contains(1) else {
        throw SettingConflict(
          "negative_lora", "must be null where guidance is 1, which has no unconditional half")
      }
    }
    try NamedScorers.check(scorers, "scorers")
  }

  package static let modelUse = ModelUse.takesLoRA

  /// All scales of guidance; the report shows images of the first one.
  var scales: [Float] { guidance.values }

  /// The split that the prompts are taken from; nil: they are in a file.
  package var split: String? {
    ["validation", "validation_unique", "test", "test_unique"].contains(prompts) ? prompts : nil
  }
}
