public import Autograd
public import NN

/// The network that predicts the noise in a latent at a timestep, given a prompt.
///
/// - Keys: as in diffusers' `UNet2DConditionModel`
/// - Source: Rombach et al. 2022, arXiv 2112.10752; Podell et al. 2023, arXiv 2307.01952
public struct UNet {
  private(set) var encoder: UNetEncoder
  let upBlocks: [UpBlock]
  let outputNorm: GroupNorm
  let outputConvolution: Conv2d

  public var configuration: UNetConfiguration { encoder.configuration }

  /// Whether residual and transformer blocks are recomputed in the backward pass, which then needs
  /// little memory and a third more time.
  public var usesGradientCheckpointing: Bool {
    get { encoder.usesGradientCheckpointing }
    set { encoder.usesGradientCheckpointing = newValue }
  }

  public init(_ weights: Weights, _ configuration: UNetConfiguration) throws {
    encoder = try UNetEncoder(weights, configuration)
    let channels = configuration.channels
    // The skip connections from the down path to the up path, last in first out.
    var skipWidths = [channels[0]] + encoder.downBlocks.flatMap(\.skipWidths)
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

  /// Returns the predicted noise (or velocity, as the model was trained).
  ///
  /// - Parameters:
  ///   - sample: noisy latents `[batch, height, width, 4]`
  ///   - timesteps: one per latent
  ///   - conditioning: one row per latent; or several per latent, the first for all latents, then
  ///     the next
  /// - Returns: `[rows of the conditioning, height, width, 4]`
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning
  ) -> Tensor {
    inHalfPrecision([sample] + conditioning.tensors) { inputs in
      output(
        inputs[0], timesteps: timesteps, conditioning: conditioning.with(inputs.dropFirst()))
    }
  }

  private func output(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning
  ) -> Tensor {
    let encoded = encoder(sample, timesteps: timesteps, conditioning: conditioning)
    var h = encoded.lowest
    var skips = encoded.skips
    for block in upBlocks {
      h = block(
        h, time: encoded.time, context: conditioning.hiddenStates, skips: &skips,
        isCheckpointed: usesGradientCheckpointing)
    }
    return outputConvolution(outputNorm(h, appliesSiLU: true))
  }
}
