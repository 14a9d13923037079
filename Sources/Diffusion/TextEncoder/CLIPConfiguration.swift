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

  /// Reads the fields that both towers share; what a file lacks takes transformers' defaults.
  public init(
    _ json: JSONReader, defaultWidth: Int, defaultFeedForwardWidth: Int, defaultHeads: Int
  ) throws {
    width = try json.size("hidden_size", default: defaultWidth)
    feedForwardWidth = try json.size("intermediate_size", default: defaultFeedForwardWidth)
    layers = try json.size("num_hidden_layers", default: 12, atLeast: 0)
    heads = try json.size("num_attention_heads", default: defaultHeads)
    let name = try json.string("hidden_act", default: "quick_gelu")
    guard let activation = Activation(rawValue: name) else {
      throw ConfigurationError.unsupported(path: json.path, field: "hidden_act", value: name)
    }
    self.activation = activation
    epsilon = Float(try json.double("layer_norm_eps", default: 1e-5))
    try json.requireMultiples("hidden_size", [width], of: heads, "num_attention_heads")
  }
}

/// `text_encoder/config.json`, or the `text_config` of a CLIP model.
public struct CLIPTextConfiguration: Equatable, Sendable {
  public var transformer: CLIPTransformerConfiguration
  public var vocabularySize: Int
  /// Tokens of a prompt, padding included.
  public var tokens: Int
  public var endToken: Int
  public var projectionWidth: Int

  public init(_ json: JSONReader) throws {
    transformer = try CLIPTransformerConfiguration(
      json, defaultWidth: 512, defaultFeedForwardWidth: 2048, defaultHeads: 8)
    vocabularySize = try json.size("vocab_size", default: 49_408)
    tokens = try json.size("max_position_embeddings", default: 77)
    endToken = try json.size("eos_token_id", default: 49_407, atLeast: 0)
    projectionWidth = try json.size("projection_dim", default: 512)
  }
}
