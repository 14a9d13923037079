public import Autograd

/// A U-Net with classifier-free guidance.
///
///     output = unconditional + guidance (conditional - unconditional)
///
/// - Source: Ho and Salimans 2022, arXiv 2207.12598; a separate U-Net for the unconditional half is
///   Diffusion-NPO, Wang et al. 2025, arXiv 2505.11245
public struct GuidedUNet {
  public let unet: UNet
  /// The network for the unconditional half, trained to prefer what people do not; nil: the same.
  public let negativeUNet: UNet?
  public let guidance: Float

  public init(_ unet: UNet, negative: UNet? = nil, guidance: Float) {
    self.unet = unet
    negativeUNet = negative
    self.guidance = guidance
  }

  /// - Parameters:
  ///   - sample: `[batch, height, width, channels]`
  ///   - timesteps: one per row
  ///   - conditioning: the conditioning on the prompts, one row each
  ///   - negative: the conditioning on the negative prompt, one row for all
  /// - Returns: the guided model output, in the shape of `sample`
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning, negative: Conditioning
  ) -> Tensor {
    let batch = sample.shape[0]
    if let negativeUNet {
      let unconditional = negativeUNet(
        sample, timesteps: timesteps, conditioning: negative.repeated(batch))
      let conditional = unet(sample, timesteps: timesteps, conditioning: conditioning)
      return unconditional + (conditional - unconditional).scaled(by: guidance)
    }
    // Both halves in one call: larger matrix products, and shared work is done once.
    let output = unet(
      sample, timesteps: timesteps,
      conditioning: concatenated([negative.repeated(batch), conditioning]))
    let unconditional = output.slice(axis: 0, 0..<batch)
    let conditional = output.slice(axis: 0, batch..<2 * batch)
    return unconditional + (conditional - unconditional).scaled(by: guidance)
  }
}
