public import Files

/// `unet/config.json` of a `UNet2DConditionModel` of the Stable Diffusion v1 and XL families.
///
/// Missing fields take diffusers' defaults. Unsupported values are rejected by name.
public struct UNetConfiguration: Equatable, Sendable {
  /// The kinds of blocks on the down path, and in mirrored order on the up path.
  public enum BlockKind: Equatable, Sendable {
    case plain
    case crossAttention
  }

  /// The extra conditioning of SDXL: pooled text and six numbers on size and crop.
  public struct TextTimeConditioning: Equatable, Sendable {
    /// The width of the sinusoidal features of each of the six numbers.
    public var featureWidth: Int
    /// The pooled text's width plus six times `featureWidth`.
    public var inputWidth: Int

    /// The width of the pooled text embedding.
    public var pooledWidth: Int { inputWidth - Conditioning.sizeCount * featureWidth }

    fileprivate init(_ json: JSONReader) throws {
      featureWidth = try json.size(
        "addition_time_embed_dim", default: 256, in: ConfigurationRange.width)
      inputWidth = try json.size(
        "projection_class_embeddings_input_dim", default: 2816,
        in: ConfigurationRange.innerWidth)
      guard pooledWidth > 0 else {
        throw ConfigurationError.misfit(
          path: json.path,
          reason:
            "projection_class_embeddings_input_dim is \(inputWidth), which leaves nothing for "
            + "pooled text next to \(Conditioning.sizeCount) times addition_time_embed_dim "
            + "\(featureWidth)")
      }
    }
  }

  public var inputChannels: Int
  public var outputChannels: Int
  public var sampleSize: Int
  public var channels: [Int]
  public var downBlocks: [BlockKind]
  public var upBlocks: [BlockKind]
  public var hasMiddleBlock: Bool
  public var layersPerBlock: [Int]
  public var transformerLayers: [Int]
  public var heads: [Int]
  public var contextWidth: Int
  public var groups: Int
  public var epsilon: Float
  public var cosinesFirst: Bool
  public var frequencyShift: Float
  public var downsamplePadding: Int
  public var textTime: TextTimeConditioning?

  public init(_ json: JSONReader) throws {
    for (field, accepted) in Self.fixedFields { try json.require(field, oneOf: accepted) }
    inputChannels = try json.size("in_channels", default: 4, in: ConfigurationRange.channels)
    outputChannels = try json.size("out_channels", default: 4, in: ConfigurationRange.channels)
    sampleSize = try json.size("sample_size", default: 64, in: ConfigurationRange.side)
    channels = try json.sizes(
      "block_out_channels", default: [320, 640, 1280, 1280], in: ConfigurationRange.width)
    let count = channels.count
    downBlocks = try json.blockKinds(
      "down_block_types",
      [("DownBlock2D", .plain), ("CrossAttnDownBlock2D", .crossAttention)], count: count,
      default: [.crossAttention, .crossAttention, .crossAttention, .plain])
    upBlocks = try json.blockKinds(
      "up_block_types", [("UpBlock2D", .plain), ("CrossAttnUpBlock2D", .crossAttention)],
      count: count, default: [.plain, .crossAttention, .crossAttention, .crossAttention])
    // Absent means the usual block, null means no block.
    hasMiddleBlock = json.value["mid_block_type"] != .null
    layersPerBlock = try json.sizes(
      "layers_per_block", default: [2], count: count, in: ConfigurationRange.blockLayers)
    transformerLayers = try json.sizes(
      "transformer_layers_per_block", default: [1], count: count,
      in: ConfigurationRange.transformerLayers)
    // Old configurations call the number of heads "attention_head_dim"; diffusers reads it as such.
    let headsField =
      try json.optional("num_attention_heads") == nil ? "attention_head_dim" : "num_attention_heads"
    heads = try json.sizes(
      headsField, default: [8], count: count, in: ConfigurationRange.heads)
    contextWidth = try json.size(
      "cross_attention_dim", default: 1280, in: ConfigurationRange.width)
    groups = try json.groupCount()
    epsilon = try json.number("norm_eps", default: 1e-5, in: ConfigurationRange.epsilon)
    cosinesFirst = try json.flag("flip_sin_to_cos", default: true)
    frequencyShift = try json.number("freq_shift", default: 0, in: 0...1)
    downsamplePadding = try json.size("downsample_padding", default: 1, in: 0...1)
    if try json.string("addition_embed_type", default: "") == "text_time" {
      let textTime = try TextTimeConditioning(json)
      try requireFeatures("addition_time_embed_dim", textTime.featureWidth, json)
      self.textTime = textTime
    }
    if textTime == nil, try json.isOfEarlyVersion() { sampleSize = max(64, sampleSize) }
    try requireFeatures("block_out_channels", channels[0], json)
    try json.requireMultiples("block_out_channels", channels, of: groups, "norm_num_groups")
    for (width, heads) in zip(channels, heads) {
      try json.requireMultiples("block_out_channels", [width], of: heads, headsField)
    }
  }

  /// Checks that latents of a size can be halved as often as the U-Net has levels: without padding,
  /// nothing is left of an extent of 1.
  ///
  /// - Throws: `ConfigurationError.misfit`
  public func requireHalvable(height: Int, width: Int, path: String) throws(ConfigurationError) {
    let halvings = channels.count - 1
    guard downsamplePadding == 0, min(height, width) >> halvings == 0 else { return }
    throw .misfit(
      path: path,
      reason: "with downsample_padding 0, latents of \(height) x \(width) cannot be halved "
        + (halvings == 1 ? "once" : "\(halvings) times"))
  }

  /// Checks that sinusoidal features of a width have frequencies, the first of which is not shifted
  /// to infinity.
  private func requireFeatures(_ field: String, _ width: Int, _ json: JSONReader) throws {
    guard Float(width / 2) > frequencyShift else {
      throw ConfigurationError.misfit(
        path: json.path,
        reason: "\(field) \(width) is too little for freq_shift \(frequencyShift)")
    }
  }

  /// Fields whose other values would need layers that are not implemented.
  private static let fixedFields: [(String, [JSON])] = [
    ("_class_name", [.string("UNet2DConditionModel")]),
    ("act_fn", [.string("silu"), .string("swish")]),
    ("addition_embed_type", [.string("text_time")]),
    ("attention_type", [.string("default")]),
    ("center_input_sample", [.bool(false)]),
    ("class_embed_type", []),
    ("class_embeddings_concat", [.bool(false)]),
    ("conv_in_kernel", [.integer(3)]),
    ("conv_out_kernel", [.integer(3)]),
    ("cross_attention_norm", []),
    ("dual_cross_attention", [.bool(false)]),
    ("encoder_hid_dim", []),
    ("encoder_hid_dim_type", []),
    ("mid_block_only_cross_attention", [.bool(false)]),
    ("mid_block_scale_factor", [.integer(1), .number(1)]),
    ("mid_block_type", [.string("UNetMidBlock2DCrossAttn")]),
    ("num_class_embeds", []),
    ("only_cross_attention", [.bool(false)]),
    ("resnet_out_scale_factor", [.integer(1), .number(1)]),
    ("resnet_skip_time_act", [.bool(false)]),
    ("resnet_time_scale_shift", [.string("default")]),
    ("reverse_transformer_layers_per_block", []),
    ("time_cond_proj_dim", []),
    ("time_embedding_act_fn", []),
    ("time_embedding_dim", []),
    ("time_embedding_type", [.string("positional")]),
    ("timestep_post_act", []),
  ]
}

extension JSONReader {
  /// Whether a version of diffusers wrote the configuration for which its pipeline of Stable Diffusion
  /// takes a smaller `sample_size` than 64 for an oversight, and 64 instead.
  fileprivate func isOfEarlyVersion() throws -> Bool {
    let version = try string("_diffusers_version", default: "").split(separator: ".")
    guard version.count > 1, version[0] == "0", let minor = Int(version[1]) else { return false }
    return minor < 9
  }

  fileprivate func blockKinds(
    _ key: String, _ kinds: [(String, UNetConfiguration.BlockKind)], count: Int,
    default value: [UNetConfiguration.BlockKind]
  ) throws -> [UNetConfiguration.BlockKind] {
    let found = try optional(key)?.strings().map { name in
      guard let kind = kinds.first(where: { $0.0 == name })?.1 else {
        throw ConfigurationError.unsupported(path: path, field: key, value: name)
      }
      return kind
    }
    let list = found ?? value
    guard list.count == count else {
      throw ConfigurationError.wrongCount(
        path: path, field: key, expected: "\(count)", found: list.count)
    }
    return list
  }
}
