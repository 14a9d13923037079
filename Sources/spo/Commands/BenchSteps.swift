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
    let batch = options.batch ?? 2
    var settings = SPOSettings()
    settings.model = options.model.path
    settings.batch = batch
    settings.promptsAtOnce = batch
    settings.microBatch = settings.pairBatch
    settings.threshold = -1
    let configuration = try UNetConfiguration(try options.model.configuration("unet"))
    let side = configuration.sampleSize
    let (width, height) = options.size ?? (side, side)
    let encoder = try PromptEncoder(options.model)
    let texts = (0..<batch).map { "a picture of \($0) things" }
    let prompts = Conditioning(try encoder(texts), height: 8 * height, width: 8 * width)
    let judge =
      try options.preference.map { try PreferenceJudge($0, of: options.model) }
      ?? .pixel(try preferenceModel(options, latentSide: side))
    let ids = judge.tokenIDs(batch: batch)
    var tuner = try StepwiseTuner(
      settings, judge: judge,
      negative: Conditioning(try encoder.empty(), height: 8 * height, width: 8 * width),
      latentShape: [height, width, configuration.inputChannels])
    let batchOfPrompts = PromptBatch(
      identifiers: (0..<batch).map { UInt64($0) }, conditioning: prompts)
    let judged = zip(texts, ids).map { JudgedPrompt(text: $0, ids: $1) }
    return BenchWork(items: batch) {
      _ = try tuner.iterate(batchOfPrompts, judged: judged, iteration: 0)
    }
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
    case .pixel(let model): ModelBench.tokenIDs(for: model.configuration.text, batch: batch)
    case .latent: [[Int]](repeating: [], count: batch)
    }
  }
}
