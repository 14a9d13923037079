public import Autograd
public import NN

/// The network that predicts the noise in a latent at a timestep, given a prompt.
///
/// - Keys: as diffusers' `UNet2DConditionModel` names them
/// - Source: Rombach et al. 2022, arXiv 2112.10752; Podell et al. 2023, arXiv 2307.01952
public struct UNet {
  public let configuration: UNetConfiguration
  /// Whether residual and transformer blocks are run again in the backward pass, which then needs
  /// little memory and a third more time.
  public var usesGradientCheckpointing = false
  let timeEmbedding: TimestepEmbedding
  let textTimeEmbedding: TimestepEmbedding?
  let inputConvolution: Conv2d
  let downBlocks: [DownBlock]
  let middleBlock: MiddleBlock?
  let upBlocks: [UpBlock]
  let outputNorm: GroupNorm
  let outputConvolution: Conv2d

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

    // What the way up takes over from the way down, last in first out.
    var skipWidths = [channels[0]] + downBlocks.flatMap(\.skipWidths)
    var width = channels[channels.count - 1]
    upBlocks = try channels.indices.map { index in
      let level = channels.count - 1 - index
      let count = configuration.layersPerBlock[level] + 1
      let block = try UpBlock(
        weights["up_blocks"][index], inputs: width,
        skipWidths: Array(skipWidths.suffix(count).reversed()), level: level, kind: index,
        configuration)
      skipWidths.removeLast(count)
      width = channels[level]
      return block
    }
    outputNorm = try GroupNorm(
      weights["conv_norm_out"], channels: channels[0], groups: configuration.groups,
      epsilon: configuration.epsilon)
    outputConvolution = try Conv2d(
      weights["conv_out"], inputs: channels[0], outputs: configuration.outputChannels, kernel: 3)
  }

  /// The predicted noise (or velocity, as the model was trained).
  ///
  /// - Parameters:
  ///   - sample: noisy latents `[batch, height, width, 4]`
  ///   - timesteps: one for each latent
  ///   - conditioning: one row for each latent
  /// - Returns: `[batch, height, width, 4]`
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning
  ) -> Tensor {
    let context = conditioning.hiddenStates
    let time = silu(timeVector(timesteps, conditioning.textTime))  // [batch, timeWidth]

    // down
    var h = inputConvolution(sample)
    var skips = [h]
    for block in downBlocks {
      h = block(
        h, time: time, context: context, skips: &skips, isCheckpointed: usesGradientCheckpointing)
    }

    // middle
    if let middleBlock {
      h = middleBlock(h, time: time, context: context, isCheckpointed: usesGradientCheckpointing)
    }

    // up
    for block in upBlocks {
      h = block(
        h, time: time, context: context, skips: &skips, isCheckpointed: usesGradientCheckpointing)
    }
    return outputConvolution(outputNorm(h, appliesSiLU: true))
  }

  private func timeVector(_ timesteps: [Float], _ textTime: Conditioning.TextTime?) -> Tensor {
    let features = sinusoidalFeatures(
      of: timesteps, width: configuration.channels[0], cosinesFirst: configuration.cosinesFirst,
      shift: configuration.frequencyShift)
    let embedding = timeEmbedding(features)
    guard let textTimeEmbedding, let width = configuration.textTime?.featureWidth else {
      return embedding
    }
    guard let textTime else { preconditionFailure("the model is told of pooled text and sizes") }
    let sizes = textTime.sizes.flatMap { $0 }
    let sizeFeatures = sinusoidalFeatures(
      of: sizes, width: width, cosinesFirst: configuration.cosinesFirst,
      shift: configuration.frequencyShift
    ).reshaped(to: [timesteps.count, sizes.count / timesteps.count * width])
    return embedding
      + textTimeEmbedding(concatenated([textTime.pooledText, sizeFeatures], axis: 1))
  }
}
