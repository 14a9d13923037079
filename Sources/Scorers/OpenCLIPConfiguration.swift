import Diffusion
import Files
import PreferenceModels

/// `open_clip_config.json`, or the published ViT-H/14 if there is none.
///
/// - Source: `open_clip/model_configs/ViT-H-14.json`
struct OpenCLIPConfiguration {
  static let fileName = "open_clip_config.json"
  private let model: JSONReader
  private let preprocessing: JSONReader?

  init(_ file: JSONReader?) throws {
    model = try file?["model_cfg"] ?? JSONReader(Self.huge, path: "ViT-H-14")
    preprocessing = try file?.optional("preprocess_cfg")
  }

  private static let huge: JSON = [
    "embed_dim": 1024,
    "vision_cfg": [
      "image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14,
    ],
    "text_cfg": [
      "context_length": 77, "vocab_size": 49_408, "width": 1024, "heads": 16, "layers": 24,
    ],
  ]

  /// The same in the words of transformers.
  ///
  /// - Throws: `ConfigurationError` for a field that makes another architecture of it
  func asCLIP(path: String) throws -> PreferenceConfiguration {
    let vision = try model["vision_cfg"]
    let text = try model["text_cfg"]
    try refuseOthers(model, ["embed_dim", "quick_gelu", "vision_cfg", "text_cfg"])
    try refuseOthers(
      vision, ["image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"])
    try refuseOthers(
      text, ["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"])
    let width = try vision.size("width", default: 768, in: ConfigurationRange.width)
    let headWidth = try vision.size("head_width", default: 64, in: ConfigurationRange.width)
    guard width.isMultiple(of: headWidth) else {
      throw ConfigurationError.indivisible(
        path: vision.path, field: "width", value: width, by: "head_width", divisor: headWidth)
    }
    let side = try vision.size("image_size", default: 224, in: ConfigurationRange.side)
    let textWidth = try text.size("width", default: 512, in: ConfigurationRange.width)
    let activation: JSON = try model.bool("quick_gelu", default: false) ? "quick_gelu" : "gelu"
    let clip: JSON = [
      "projection_dim": .integer(
        try model.size("embed_dim", default: 512, in: ConfigurationRange.width)),
      "vision_config": [
        "hidden_size": .integer(width), "hidden_act": activation,
        "intermediate_size": .integer(try feedForwardWidth(vision, width)),
        "num_hidden_layers": .integer(
          try vision.size("layers", default: 12, in: ConfigurationRange.encoderLayers)),
        "num_attention_heads": .integer(width / headWidth),
        "image_size": .integer(side),
        "patch_size": .integer(
          try vision.size("patch_size", default: 16, in: ConfigurationRange.side)),
      ],
      "text_config": [
        "hidden_size": .integer(textWidth), "hidden_act": activation,
        "intermediate_size": .integer(try feedForwardWidth(text, textWidth)),
        "num_hidden_layers": .integer(
          try text.size("layers", default: 12, in: ConfigurationRange.encoderLayers)),
        "num_attention_heads": .integer(
          try text.size("heads", default: 8, in: ConfigurationRange.heads)),
        "vocab_size": .integer(
          try text.size("vocab_size", default: 49_408, in: ConfigurationRange.vocabulary)),
        "max_position_embeddings": .integer(
          try text.size("context_length", default: 77, in: ConfigurationRange.tokens)),
        // Prompts end at their largest id.
        "eos_token_id": 2,
      ],
    ]
    var images: JSON.Object = .init()
    images["size"] = .integer(side)
    images["image_mean"] = try preprocessing?.optional("mean")?.value
    images["image_std"] = try preprocessing?.optional("std")?.value
    return try PreferenceConfiguration(
      JSONReader(clip, path: path), preprocessor: JSONReader(.object(images), path: path))
  }

  private func feedForwardWidth(_ tower: JSONReader, _ width: Int) throws -> Int {
    let product = Double(width) * (try tower.double("mlp_ratio", default: 4))
    guard product >= 1, product <= Double(1 << 24) else {
      throw ConfigurationError.unsupported(
        path: tower.path, field: "mlp_ratio", value: try tower["mlp_ratio"].value.text())
    }
    return Int(product)
  }

  /// Refuses fields that are not known: each makes another architecture.
  private func refuseOthers(_ reader: JSONReader, _ known: Set<String>) throws {
    for (key, value) in try reader.members() where !known.contains(key) {
      throw ConfigurationError.unsupported(
        path: reader.path, field: key, value: value.value.text())
    }
  }
}
