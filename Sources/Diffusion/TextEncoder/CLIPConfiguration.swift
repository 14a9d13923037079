public import Files
public import TensorCore

/// The extents of one CLIP transformer, text or vision.
public struct CLIPTransformerConfiguration: Equatable, Sendable {
  public var width: Int
  public var feedForwardWidth: Int
  public var layers: Int
  public var heads: Int
  public var activation: Activation
  public var epsilon: Float

  /// Reads the fields that both towers share; missing ones take transformers' defaults.
  public init(
    _ json: JSONReader, defaultWidth: Int, defaultFeedForwardWidth: Int, defaultHeads: Int
  ) throws {
    width = try json.size("hidden_size", default: defaultWidth, in: ConfigurationRange.width)
    feedForwardWidth = try json.size(
      "intermediate_size", default: defaultFeedForwardWidth, in: ConfigurationRange.innerWidth)
    layers = try json.size(
      "num_hidden_layers", default: 12, in: ConfigurationRange.encoderLayers)
    heads = try json.size(
      "num_attention_heads", default: defaultHeads, in: ConfigurationRange.heads)
    let name = try json.string("hidden_act", default: "quick_gelu")
    guard let activation = Activation(rawValue: name) else {
      throw ConfigurationError.unsupported(path: json.path, field: "hidden_act", value: name)
    }
    self.activation = activation
    epsilon = try json.number("layer_norm_eps", default: 1e-5, in: ConfigurationRange.epsilon)
    try json.requireMultiples("hidden_size", [width], of: heads, "num_attention_heads")
  }
}

/// `text_encoder/config.json`, or the `text_config` of a CLIP model.
public struct CLIPTextConfiguration: Equatable, Sendable {
  public var transformer: CLIPTransformerConfiguration
  public var vocabularySize: Int
  /// The number of tokens of a prompt, including padding.
  public var tokens: Int
  public var endToken: Int
  public var projectionWidth: Int

  /// A placeholder in configurations that predate transformers' end token; for them the end is the
  /// first position of the largest id.
  static let legacyEndToken = 2

  public init(_ json: JSONReader) throws {
    // Other text encoders have fields of the same names.
    try json.require("model_type", oneOf: ["clip_text_model", "clip"])
    transformer = try CLIPTransformerConfiguration(
      json, defaultWidth: 512, defaultFeedForwardWidth: 2048, defaultHeads: 8)
    vocabularySize = try json.size(
      "vocab_size", default: 49_408, in: ConfigurationRange.vocabulary)
    tokens = try json.size("max_position_embeddings", default: 77, in: ConfigurationRange.tokens)
    let ids = 0...vocabularySize - 1
    endToken = try json.size("eos_token_id", default: min(49_407, ids.upperBound), in: ids)
    projectionWidth = try json.size("projection_dim", default: 512, in: ConfigurationRange.width)
  }
}
