public import Autograd
public import NN

/// The down path and middle block of a U-Net: its features of a noisy latent before upsampling.
///
/// - Keys: `time_embedding`, `add_embedding`, `conv_in`, `down_blocks`, `mid_block` of diffusers'
///   `UNet2DConditionModel`
public struct UNetEncoder {
  public let configuration: UNetConfiguration
  /// Whether blocks are recomputed in the backward pass.
  public var usesGradientCheckpointing = false
  let timeEmbedding: TimestepEmbedding
  let textTimeEmbedding: TimestepEmbedding?
  let inputConvolution: Conv2d
  let downBlocks: [DownBlock]
  let middleBlock: MiddleBlock?

  public init(_ weights: Weights, _ configuration: UNetConfiguration) throws {
    self.configuration = configuration
    let channels = configuration.channels
    let timeWidth = 4 * channels[0]
    timeEmbedding = try TimestepEmbedding(
      weights["time_embedding"], inputs: channels[0], width: timeWidth)
    textTimeEmbedding = try configuration.textTime.map {
      try TimestepEmbedding(weights["add_embedding"], inputs: $0.inputWidth, width: timeWidth)
    }
    inputConvolution = try Conv2d(
      weights["conv_in"], inputs: configuration.inputChannels, outputs: channels[0], kernel: 3)
    downBlocks = try channels.indices.map { index in
      try DownBlock(
        weights["down_blocks"][index], inputs: channels[max(0, index - 1)], level: index,
        isLast: index == channels.count - 1, configuration)
    }
    middleBlock =
      configuration.hasMiddleBlock ? try MiddleBlock(weights["mid_block"], configuration) : nil
  }

  /// Whether a key of the U-Net belongs to the up path, which is not built here.
  public static func isUpPath(_ key: String) -> Bool {
    ["up_blocks.", "conv_norm_out.", "conv_out."].contains { key.hasPrefix($0) }
  }

  /// The inputs of the up path.
  public struct Output {
    /// The middle block's output, `[batch, height, width, channels]`.
    public let lowest: Tensor
    /// The skip connections to the up path, in order of creation.
    let skips: [Tensor]
    /// The time vectors, `[batch, width]`.
    let time: Tensor
    /// The indices among the skips of each level's output, before its downsampler.
    fileprivate let levelEnds: [Int]

    /// Each level's output, before its downsampler, `[batch, height, width, channels]` each.
    public var levels: [Tensor] { levelEnds.map { skips[$0] } }
  }

  /// - Parameters:
  ///   - sample: noisy latents `[batch, height, width, channels]`
  ///   - timesteps: one per latent
  ///   - conditioning: one row per latent; or several per latent, the first for all latents, then
  ///     the next: what does not depend on it is computed once
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning
  ) -> Output {
    let context = conditioning.hiddenStates
    let times = context.shape[0] / sample.shape[0]
    // SDXL's time vector depends on the prompt, so nothing can be shared.
    let isShared = times > 1 && conditioning.textTime == nil
    let rowTimesteps =
      isShared ? timesteps : (0..<times).flatMap { _ in timesteps }
    var pass = DownPass(
      h: inputConvolution(isShared ? sample : sample.repeated(times)),
      time: silu(timeVector(rowTimesteps, conditioning.textTime)))  // [rows, timeWidth]
    var levelEnds: [Int] = []
    for block in downBlocks {
      block(&pass, context: context, isCheckpointed: usesGradientCheckpointing)
      levelEnds.append(pass.skips.count - (block.downsampler == nil ? 1 : 2))
    }
    pass.spread(to: context.shape[0])
    if let middleBlock {
      pass.h = middleBlock(
        pass.h, time: pass.time, context: context, isCheckpointed: usesGradientCheckpointing)
    }
    return Output(lowest: pass.h, skips: pass.skips, time: pass.time, levelEnds: levelEnds)
  }

  private func timeVector(_ timesteps: [Float], _ textTime: Conditioning.TextTime?) -> Tensor {
    let features = sinusoidalFeatures(
      of: timesteps, width: configuration.channels[0], cosinesFirst: configuration.cosinesFirst,
      shift: configuration.frequencyShift)
    let embedding = timeEmbedding(features)
    guard let textTimeEmbedding, let width = configuration.textTime?.featureWidth else {
      return embedding
    }
    guard let textTime else {
      preconditionFailure("the model is conditioned on pooled text and sizes")
    }
    let sizes = textTime.sizes.flatMap { $0 }
    let sizeFeatures = sinusoidalFeatures(
      of: sizes, width: width, cosinesFirst: configuration.cosinesFirst,
      shift: configuration.frequencyShift
    ).reshaped(to: [timesteps.count, sizes.count / timesteps.count * width])
    return embedding
      + textTimeEmbedding(concatenated([textTime.pooledText, sizeFeatures], axis: 1))
  }
}
