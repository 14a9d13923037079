public import Autograd

/// A U-Net with classifier-free guidance.
///
///     output = unconditional + guidance (conditional - unconditional)
///
/// - Source: Ho and Salimans 2022, arXiv 2207.12598
public struct GuidedUNet {
  public let unet: UNet
  public let guidance: Float

  public init(_ unet: UNet, guidance: Float) {
    self.unet = unet
    self.guidance = guidance
  }

  /// - Parameters:
  ///   - sample: `[batch, height, width, channels]`
  ///   - timesteps: one for each row
  ///   - conditioning: of the prompts, one row for each
  ///   - negative: of the negative prompt, one row for all
  /// - Returns: the guided model output, the shape of `sample`
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], conditioning: Conditioning, negative: Conditioning
  ) -> Tensor {
    let batch = sample.shape[0]
    // Both halves in one call: larger matrix products, and what they share is computed once.
    let output = unet(
      sample, timesteps: timesteps,
      conditioning: concatenated([negative.repeated(batch), conditioning]))
    let unconditional = output.slice(axis: 0, 0..<batch)
    let conditional = output.slice(axis: 0, batch..<2 * batch)
    return unconditional + (conditional - unconditional).scaled(by: guidance)
  }
}
