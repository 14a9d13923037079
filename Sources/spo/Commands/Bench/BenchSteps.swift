import Autograd
import Diffusion
import Files
import NN
import PreferenceModels
import Stages
import StepwiseOptimization
import TensorCore

extension ModelBench {
  /// One iteration of step-by-step preference optimization: draws candidates for a batch of prompts, judges
  /// them and trains on every pair.
  static func stepwise(_ options: BenchOptions) throws -> BenchWork {
    var settings = options.tuning
    settings.promptsAtOnce = settings.batch
    settings.threshold = -1
    let judge =
      try options.preference.map { try PreferenceJudge($0, of: options.model, told: .source) }
      ?? PreferenceJudge(try preferenceModel(options, latentSide: try options.latentSide()))
    let setting = try Tuning(settings, options, judge)
    let judged = zip(setting.texts, judge.tokenIDs(batch: settings.batch)).map {
      JudgedPrompt(text: $0, ids: $1)
    }
    let prompts = PromptBatch(
      identifiers: (0..<settings.batch).map { UInt64($0) }, conditioning: setting.prompts)
    var tuner = setting.tuner
    return BenchWork(
      batch: settings.batch, flop: setting.iterationWork(), items: settings.batch
    ) {
      _ = try tuner.iterate(prompts, judged: judged, iteration: 0)
      return [:]
    }
  }

  /// Training on random pairs, whose winner and loser each come from a latent of their own, as after
  /// inner steps.
  static func training(_ options: BenchOptions) throws -> BenchWork {
    var settings = options.tuning
    settings.pairBatch = settings.batch
    // It is not asked for anything.
    let setting = try Tuning(
      settings, options, PreferenceJudge(try preferenceModel(options, latentSide: 1)))
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
      batch: pairs.count, flop: setting.trainingWork(pairs: pairs.count, rowsOfPair: 4),
      items: pairs.count
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
    private let settings: SPOSettings
    private let judge: PreferenceJudge
    private let unet: UNetConfiguration
    private let autoencoder: AutoencoderConfiguration

    init(_ settings: SPOSettings, _ options: BenchOptions, _ judge: PreferenceJudge) throws {
      self.settings = settings
      self.judge = judge
      unet = try UNetConfiguration(try options.model.configuration("unet"))
      autoencoder = try AutoencoderConfiguration(try options.model.configuration("vae"))
      let (width, height) = options.size ?? (unet.sampleSize, unet.sampleSize)
      let encoder = try PromptEncoder(options.model)
      texts = (0..<settings.batch).map { "a picture of \($0) things" }
      prompts = Conditioning(try encoder(texts), height: 8 * height, width: 8 * width)
      latentShape = [height, width, unet.inputChannels]
      tuner = try StepwiseTuner(
        settings, judge: judge,
        negative: Conditioning(try encoder.empty(), height: 8 * height, width: 8 * width),
        latentShape: latentShape)
    }

    /// Floating-point operations of drawing, judging, and training on every pair, whose winner and loser
    /// share a latent; nil where latents are judged.
    func iterationWork() -> Int? {
      guard case .pixel(let model, _, _) = judge else { return nil }
      let run = settings.samplingRun(judgesLatents: false)
      let (height, width) = (latentShape[0], latentShape[1])
      let latent = unet.forwardWork(height: height, width: width, tokens: tokens).total
      let decoding = autoencoder.decodingWork(height: height, width: width).total
      let judging = decoding + model.configuration.pictureWork
      return settings.batch
        * (run.rows * 2 * latent + run.judged * judging + model.configuration.promptWork)
        + trainingWork(pairs: settings.batch * run.pairs, rowsOfPair: 2)
    }

    /// Of the reference's forward pass, and of what is tuned, both with guidance.
    ///
    /// - Parameter rowsOfPair: latents of each pair, with guidance and without
    func trainingWork(pairs: Int, rowsOfPair: Int) -> Int {
      let (height, width) = (latentShape[0], latentShape[1])
      let reference = unet.forwardWork(height: height, width: width, tokens: tokens)
      let tuned = unet.adapterTrainingWork(
        height: height, width: width, tokens: tokens, rank: settings.rank)
      return pairs * rowsOfPair * (reference.total + tuned.total)
    }

    private var tokens: Int { prompts.hiddenStates.shape[1] }
  }

  /// The model of the folder that was given, or a random one whose size suits the diffusion model.
  static func preferenceModel(
    _ options: BenchOptions, latentSide: Int
  ) throws -> PreferenceModel {
    if let folder = options.preference { return try folder.preferenceModel().model }
    let shape = latentSide < 64 ? tinyShape : publishedShape
    let preprocessor: JSON = ["size": shape["vision_config"]?["image_size"] ?? .null]
    let configuration = try PreferenceConfiguration(
      JSONReader(shape, path: "the benchmark's preference model"),
      preprocessor: JSONReader(preprocessor, path: "the benchmark's preprocessor"))
    return try PreferenceModel(Weights(randomSeed: 1), configuration)
  }

  /// That of the quickstart.
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

  /// CLIP ViT-H/14, of which the published preference models are made.
  private static let publishedShape: JSON = [
    "projection_dim": 1024,
    "text_config": [
      "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096,
      "num_attention_heads": 16, "num_hidden_layers": 24,
    ],
    "vision_config": [
      "hidden_act": "gelu", "hidden_size": 1280, "image_size": 224, "intermediate_size": 5120,
      "num_attention_heads": 16, "num_hidden_layers": 32, "patch_size": 14,
    ],
  ]
}

extension PreferenceJudge {
  /// Some prompts' tokens, for a model that reads tokens.
  fileprivate func tokenIDs(batch: Int) -> [[Int]] {
    switch self {
    case .pixel(let model, _, _): ModelBench.tokenIDs(for: model.configuration.text, batch: batch)
    case .latent: [[Int]](repeating: [], count: batch)
    }
  }
}

extension BenchOptions {
  /// The published settings with what was asked for.
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
