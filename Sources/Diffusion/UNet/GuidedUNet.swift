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
  ///   - context: of the prompts, `[batch, tokens, width]`
  ///   - negative: of the negative prompt, `[1, tokens, width]` for all rows
  ///   - textTime: of the prompts and of the negative prompt, for models conditioned on it
  /// - Returns: the guided model output, the shape of `sample`
  public func callAsFunction(
    _ sample: Tensor, timesteps: [Float], context: Tensor, negative: Tensor,
    textTime: (positive: UNet.TextTime, negative: UNet.TextTime)? = nil
  ) -> Tensor {
    let batch = sample.shape[0]
    // Both halves in one call: larger matrix products.
    let output = unet(
      sample.repeated(2), timesteps: timesteps + timesteps,
      context: concatenated([negative.repeated(batch), context], axis: 0),
      textTime: textTime.map { conditioning in
        UNet.TextTime(
          pooledText: concatenated(
            [
              conditioning.negative.pooledText.repeated(batch), conditioning.positive.pooledText,
            ], axis: 0),
          sizes: Array(repeating: conditioning.negative.sizes[0], count: batch)
            + conditioning.positive.sizes)
      })
    let unconditional = output.slice(axis: 0, 0..<batch)
    let conditional = output.slice(axis: 0, batch..<2 * batch)
    return unconditional + (conditional - unconditional).scaled(by: guidance)
  }
}
