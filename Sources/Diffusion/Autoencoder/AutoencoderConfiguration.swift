public import Files

/// `vae/config.json` of an `AutoencoderKL`; missing fields take diffusers' defaults.
public struct AutoencoderConfiguration: Equatable, Sendable {
  public var imageChannels: Int
  public var outputChannels: Int
  public var latentChannels: Int
  public var channels: [Int]
  public var layersPerBlock: Int
  public var groups: Int
  public var hasMiddleAttention: Bool
  public var hasQuantConvolution: Bool
  public var hasPostQuantConvolution: Bool
  /// The height and width of the training images.
  public var sampleSize: Int
  /// The factor by which latents are multiplied before noising.
  public var scalingFactor: Float
  /// Whether activations exceed the range of binary16, as SDXL's do.
  public var hasLargeValues: Bool

  /// The scaling factor of the autoencoders of SD v1 and v2.
  private static let firstScalingFactor = 0.18215

  public init(_ json: JSONReader) throws {
    try json.require("_class_name", oneOf: ["AutoencoderKL"])
    imageChannels = try json.size("in_channels", default: 3, in: ConfigurationRange.channels)
    outputChannels = try json.size("out_channels", default: 3, in: ConfigurationRange.channels)
    latentChannels = try json.size("latent_channels", default: 4, in: ConfigurationRange.channels)
    channels = try json.sizes("block_out_channels", default: [64], in: ConfigurationRange.width)
    layersPerBlock = try json.size(
      "layers_per_block", default: 1, in: ConfigurationRange.blockLayers)
    groups = try json.groupCount()
    hasMiddleAttention = try json.flag("mid_block_add_attention", default: true)
    hasQuantConvolution = try json.flag("use_quant_conv", default: true)
    hasPostQuantConvolution = try json.flag("use_post_quant_conv", default: true)
    sampleSize = try json.size("sample_size", default: 32, in: ConfigurationRange.side)
    scalingFactor = try json.number(
      "scaling_factor", default: Self.firstScalingFactor, in: ConfigurationRange.scalingFactor)
    // Files without the field predate it and describe models that fit. diffusers writes it into all
    // that it saves, including those of SD v1 and v2, which are recognized by their scale.
    hasLargeValues =
      try json.bool("force_upcast", default: false)
      && scalingFactor != Float(Self.firstScalingFactor)
    for (field, plain) in [
      ("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D"),
    ] {
      let kinds = try json.strings(field, default: [plain])
      for kind in kinds where kind != plain {
        throw ConfigurationError.unsupported(path: json.path, field: field, value: kind)
      }
      guard kinds.count == channels.count else {
        throw ConfigurationError.wrongCount(
          path: json.path, field: field, expected: "\(channels.count)", found: kinds.count)
      }
    }
    try json.require("act_fn", oneOf: ["silu"])
    // Some latents are also shifted, or scaled per channel.
    try json.require("latents_mean", oneOf: [])
    try json.require("latents_std", oneOf: [])
    try json.require("shift_factor", oneOf: [.integer(0), .number(0)])
    try json.requireMultiples("block_out_channels", channels, of: groups, "norm_num_groups")
  }

  /// The factor by which latents are smaller than images, in height and in width.
  public var reduction: Int { 1 << (channels.count - 1) }
}
