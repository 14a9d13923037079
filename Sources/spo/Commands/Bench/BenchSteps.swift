import Autograd
import Diffusion
import Files
import NN
import PreferenceModels
import Stages
import StepwiseOptimization
import TrainingStages

extension ModelBench {
  /// One iteration of step-by-step preference optimization: samples candidates for a batch of
  /// prompts, scores them and trains on every pair.
  static func stepwise(_ options: BenchOptions) throws -> BenchWork {
    var settings = options.tuning
    settings.promptsAtOnce = settings.batch
    settings.threshold = -1
    let preference =
      try options.preference.map { try PreferenceScorer($0, of: options.model, timestep: .source) }
      ?? PreferenceScorer(try preferenceModel(options, latentSide: try options.latentSide()))
    let setting = try Tuning(settings, options, preference)
    let scored = zip(setting.texts, preference.tokenIDs(batch: settings.batch)).map {
      ScoredPrompt(text: $0, ids: $1)
    }
    let prompts = PromptBatch(
      identifiers: (0..<settings.batch).map { UInt64($0) }, conditioning: setting.prompts)
    var tuner = setting.tuner
    return BenchWork(
      batch: settings.batch, items: settings.batch
    ) {
      _ = try tuner.iterate(prompts, scored: scored, iteration: 0)
      return [:]
    }
  }

  /// Trains on random pairs, whose winner and loser each start from their own latent, as after
  /// inner steps.
  static func training(_ options: BenchOptions) throws -> BenchWork {
    var settings = options.tuning
    settings.pairBatch = settings.batch
    // It is not called.
    let setting = try Tuning(
      settings, options, PreferenceScorer(try preferenceModel(options, latentSide: 1)))
    let timestep = try DDIMScheduler(options.model.pipelineSchedulerConfig())
      .timesteps(stepCount: settings.samplingSteps)[0]
    let pairs = (0..<settings.batch).map { prompt in
      let latents = (0..<4).map { normal([1] + setting.latentShape, seed: UInt64(4 * prompt + $0)) }
      return CandidatePair(
        timestep: timestep, win: .init(latent: latents[0], next: latents[1]),
        lose: .init(latent: latents[2], next: latents[3]), sharesLatent: false, prompt: prompt)
    }
    var tuner = setting.tuner
    return BenchWork(
      batch: pairs.count, items: pairs.count
    ) {
      _ = try tuner.train(on: pairs, setting.prompts, iteration: 0)
      return [:]
    }
  }

  /// A tuner with random prompts.
  private struct Tuning {
    let tuner: StepwiseTuner
    let texts: [String]
    let prompts: Conditioning
    let latentShape: [Int]

    init(_ settings: SPOSettings, _ options: BenchOptions, _ preference: PreferenceScorer) throws {
      let unet = try UNetConfiguration(try options.model.configuration("unet"))
      let (width, height) = options.size ?? (unet.sampleSize, unet.sampleSize)
      let encoder = try PromptEncoder(options.model)
      texts = (0..<settings.batch).map { "a picture of \($0) things" }
      prompts = Conditioning(try encoder(texts), height: 8 * height, width: 8 * width)
      latentShape = [height, width, unet.inputChannels]
      tuner = try StepwiseTuner(
        settings, preference: preference,
        negative: Conditioning(try encoder.empty(), height: 8 * height, width: 8 * width),
        latentShape: latentShape)
    }
  }

  /// Returns the model in the given folder, or a random one whose size suits the diffusion model.
  static func preferenceModel(
    _ options: BenchOptions, latentSide: Int
  ) throws -> PreferenceModel {
    if let folder = options.preference { return try folder.preferenceModel().model }
    let shape = try latentSide < 64 ? tiny() : PublishedModel.clipHuge.configuration(".")
    let preprocessor: JSON = ["size": shape.value["vision_config"]?["image_size"] ?? .null]
    let configuration = try PreferenceConfiguration(
      shape, preprocessor: JSONReader(preprocessor, path: "the benchmark's preprocessor"))
    return try PreferenceModel(Weights(randomSeed: 1), configuration)
  }

  /// The quickstart's configuration.
  private static func tiny() -> JSONReader {
    JSONReader(tinyShape, path: "the benchmark's preference model")
  }

  private static let tinyShape: JSON = [
    "projection_dim": 64,
    "text_config": [
      "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 24,
      "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 581,
    ],
    "vision_config": [
      "hidden_size": 96, "image_size": 64, "intermediate_size": 192, "num_attention_heads": 4,
      "num_hidden_layers": 3, "patch_size": 8,
    ],
  ]
}

extension PreferenceScorer {
  /// Returns tokens of some prompts, for a model that reads tokens.
  fileprivate func tokenIDs(batch: Int) -> [[Int]] {
    switch self {
    case .pixel(let model, _, _): ModelBench.tokenIDs(for: model.configuration.text, batch: batch)
    case .latent: [[Int]](repeating: [], count: batch)
    }
  }
}

extension BenchOptions {
  /// The published settings with the requested changes.
  fileprivate var tuning: SPOSettings {
    var settings = SPOSettings()
    settings.model = model.path
    settings.batch = batch ?? 2
    settings.samplingSteps = steps ?? settings.samplingSteps
    settings.divertStep = min(settings.divertStep, settings.samplingSteps - 1)
    settings.rank = rank ?? settings.rank
    settings.microBatch = microBatch ?? settings.pairBatch
    settings.gradientCheckpointing = usesGradientCheckpointing
    return settings
  }
}
