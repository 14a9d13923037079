public import Autograd
public import NN

/// The variational autoencoder that maps between images and latents.
///
/// - Keys: as in diffusers' `AutoencoderKL`
/// - Source: Rombach et al. 2022, arXiv 2112.10752, section 3.1
public struct Autoencoder {
  public let configuration: AutoencoderConfiguration
  public private(set) var encoder: Encoder
  public private(set) var decoder: Decoder

  public init(_ weights: Weights, _ configuration: AutoencoderConfiguration) throws {
    self.configuration = configuration
    encoder = try Encoder(weights, configuration)
    decoder = try Decoder(weights, configuration)
  }

  /// The largest side of a tile, in pixels: its share of the working memory stays below a gigabyte.
  static let largestTile = 512

  /// Makes the decoder tile larger images: less memory, and slightly different images.
  public mutating func useTiles() {
    let side = min(configuration.sampleSize, Self.largestTile)
    let latentSide = max(1, side / configuration.reduction)
    encoder.tiles = Tiles(inputSide: side, outputSide: latentSide)
    decoder.tiles = Tiles(inputSide: latentSide, outputSide: side)
  }

  /// Decodes scaled latents to images, `[batch, height, width, 3]`, about -1...1.
  ///
  /// - Throws: `NonFiniteError`
  public func images(of latents: Tensor) throws -> Tensor {
    try withoutGradients {
      try decoder(latents.scaled(by: 1 / configuration.scalingFactor))
        .requiringFinite("vae, decoding")
    }
  }

  /// The pixels that go through the network together, unless a single image has more: one image of
  /// 512 x 512 saturates all processors, and several would only need more memory.
  public static let positionsAtOnce = 512 * 512

  /// A diagonal Gaussian over latents.
  public struct Posterior {
    /// `[batch, height, width, latentChannels]`, not scaled.
    public let mean: Tensor
    /// The same shape, limited to -30...20.
    public let logVariance: Tensor
  }
}

/// The network from images to the distribution of their latents.
public struct Encoder {
  let inputConvolution: Conv2d
  let blocks: [(resnets: [ResnetBlock], downsampler: Downsampler?)]
  let middle: AutoencoderMiddleBlock
  let outputNorm: GroupNorm
  let outputConvolution: Conv2d
  let quantConvolution: Conv2d?
  let latentChannels: Int
  let hasLargeValues: Bool
  fileprivate(set) var tiles: Tiles?

  init(_ weights: Weights, _ configuration: AutoencoderConfiguration) throws {
    let channels = configuration.channels
    let encoder = weights["encoder"]
    let last = channels[channels.count - 1]
    latentChannels = configuration.latentChannels
    hasLargeValues = configuration.hasLargeValues
    inputConvolution = try Conv2d(
      encoder["conv_in"], inputs: configuration.imageChannels, outputs: channels[0], kernel: 3)
    blocks = try channels.indices.map { level in
      let scope = encoder["down_blocks"][level]
      let resnets = try (0..<configuration.layersPerBlock).map { index in
        try ResnetBlock(
          scope["resnets"][index], inputs: channels[index == 0 ? max(0, level - 1) : level],
          outputs: channels[level], configuration)
      }
      // Autoencoders pad only at the end, so that the grid of latents starts at the first pixel.
      let downsampler =
        level == channels.count - 1
        ? nil
        : try Downsampler(
          scope["downsamplers"][0], channels: channels[level],
          padding: .init(top: 0, left: 0, bottom: 1, right: 1))
      return (resnets, downsampler)
    }
    middle = try AutoencoderMiddleBlock(encoder["mid_block"], width: last, configuration)
    outputNorm = try GroupNorm(
      encoder["conv_norm_out"], channels: last, groups: configuration.groups, epsilon: 1e-6)
    outputConvolution = try Conv2d(
      encoder["conv_out"], inputs: last, outputs: 2 * latentChannels, kernel: 3)
    quantConvolution =
      configuration.hasQuantConvolution
      ? try Conv2d(
        weights["quant_conv"], inputs: 2 * latentChannels, outputs: 2 * latentChannels, kernel: 1)
      : nil
  }

  /// - Parameter image: `[batch, height, width, 3]` in -1...1
  public func callAsFunction(_ image: Tensor) -> Autoencoder.Posterior {
    let positions = image.shape[1] * image.shape[2]
    let moments = inSlices(image, of: Autoencoder.positionsAtOnce / max(1, positions)) { slice in
      tiles?(slice, self.moments) ?? self.moments(slice)
    }
    let parts = moments.split(axis: 3, into: 2)
    return Autoencoder.Posterior(mean: parts[0], logVariance: parts[1].clamped(to: -30...20))
  }

  /// The means and log-variances, `[batch, height, width, 2 latentChannels]`.
  private func moments(_ image: Tensor) -> Tensor {
    inHalfPrecision([image], hasLargeValues: hasLargeValues) { inputs in
      var h = inputConvolution(inputs[0])
      for block in blocks {
        for resnet in block.resnets { h = resnet(h) }
        if let downsampler = block.downsampler { h = downsampler(h) }
      }
      h = outputConvolution(outputNorm(middle(h), appliesSiLU: true))
      return quantConvolution?(h) ?? h
    }
  }
}

/// The network from latents to images.
public struct Decoder {
  let postQuantConvolution: Conv2d?
  let inputConvolution: Conv2d
  let middle: AutoencoderMiddleBlock
  let blocks: [(resnets: [ResnetBlock], upsampler: Upsampler?)]
  let outputNorm: GroupNorm
  let outputConvolution: Conv2d
  let hasLargeValues: Bool
  fileprivate(set) var tiles: Tiles?

  init(_ weights: Weights, _ configuration: AutoencoderConfiguration) throws {
    hasLargeValues = configuration.hasLargeValues
    let channels = Array(configuration.channels.reversed())
    let latents = configuration.latentChannels
    let decoder = weights["decoder"]
    postQuantConvolution =
      configuration.hasPostQuantConvolution
      ? try Conv2d(weights["post_quant_conv"], inputs: latents, outputs: latents, kernel: 1)
      : nil
    inputConvolution = try Conv2d(
      decoder["conv_in"], inputs: latents, outputs: channels[0], kernel: 3)
    middle = try AutoencoderMiddleBlock(decoder["mid_block"], width: channels[0], configuration)
    blocks = try channels.indices.map { level in
      let scope = decoder["up_blocks"][level]
      let resnets = try (0...configuration.layersPerBlock).map { index in
        try ResnetBlock(
          scope["resnets"][index], inputs: channels[index == 0 ? max(0, level - 1) : level],
          outputs: channels[level], configuration)
      }
      let upsampler =
        level == channels.count - 1
        ? nil : try Upsampler(scope["upsamplers"][0], channels: channels[level])
      return (resnets, upsampler)
    }
    let last = channels[channels.count - 1]
    outputNorm = try GroupNorm(
      decoder["conv_norm_out"], channels: last, groups: configuration.groups, epsilon: 1e-6)
    outputConvolution = try Conv2d(
      decoder["conv_out"], inputs: last, outputs: configuration.outputChannels, kernel: 3)
  }

  /// - Parameter latents: `[batch, height, width, latentChannels]`, already divided by the
  ///   scaling factor
  /// - Returns: images `[batch, 2^n height, 2^n width, 3]`, about -1...1
  public func callAsFunction(_ latents: Tensor) -> Tensor {
    let positions = latents.shape[1] * latents.shape[2] << (2 * (blocks.count - 1))
    return inSlices(latents, of: Autoencoder.positionsAtOnce / max(1, positions)) { slice in
      tiles?(slice, decoded) ?? decoded(slice)
    }
  }

  private func decoded(_ latents: Tensor) -> Tensor {
    inHalfPrecision([latents], hasLargeValues: hasLargeValues) { inputs in
      var h = middle(inputConvolution(postQuantConvolution?(inputs[0]) ?? inputs[0]))
      for block in blocks {
        for resnet in block.resnets { h = resnet(h) }
        if let upsampler = block.upsampler { h = upsampler(h) }
      }
      return outputConvolution(outputNorm(h, appliesSiLU: true))
    }
  }
}

/// Applies `body` to the batch, at most `size` rows at a time.
private func inSlices(_ batch: Tensor, of size: Int, _ body: (Tensor) -> Tensor) -> Tensor {
  let size = max(1, size)
  let count = batch.shape[0]
  guard count > size else { return body(batch) }
  let slices = stride(from: 0, to: count, by: size).map { start in
    body(batch.slice(axis: 0, start..<min(count, start + size)))
  }
  return concatenated(slices, axis: 0)
}

/// A residual block, attention with one head over all positions, and another residual block.
///
/// - Keys: `resnets.0`, `attentions.0.{group_norm, to_q, to_k, to_v, to_out.0}`, `resnets.1`
struct AutoencoderMiddleBlock {
  let first: ResnetBlock
  let attentionNorm: GroupNorm?
  let attention: MultiHeadAttention?
  let second: ResnetBlock

  init(_ weights: Weights, width: Int, _ configuration: AutoencoderConfiguration) throws {
    first = try ResnetBlock(weights["resnets"][0], inputs: width, outputs: width, configuration)
    let scope = weights["attentions"][0]
    attentionNorm =
      configuration.hasMiddleAttention
      ? try GroupNorm(
        scope["group_norm"], channels: width, groups: configuration.groups, epsilon: 1e-6) : nil
    attention =
      configuration.hasMiddleAttention
      ? try MultiHeadAttention(
        scope, width: width, contextWidth: width, heads: 1, hasInputBias: true) : nil
    second = try ResnetBlock(weights["resnets"][1], inputs: width, outputs: width, configuration)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var h = first(x)
    if let attentionNorm, let attention {
      let tokens = attentionNorm(h).reshaped(
        to: [h.shape[0], h.shape[1] * h.shape[2], h.shape[3]])
      h = h + attention(tokens, context: tokens).reshaped(to: h.shape)
    }
    return second(h)
  }
}

extension ResnetBlock {
  fileprivate init(
    _ weights: Weights, inputs: Int, outputs: Int, _ configuration: AutoencoderConfiguration
  ) throws {
    try self.init(
      weights, inputs: inputs, outputs: outputs, timeWidth: nil, groups: configuration.groups,
      epsilon: 1e-6)
  }
}
