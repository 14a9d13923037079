public import Files

/// An image that the memory cannot hold while it is generated.
public struct ImageMemoryError: ClassifiedError, Equatable, CustomStringConvertible {
  let path: String
  let height: Int
  let width: Int
  /// Nil: more than can be counted.
  let byteCount: Int?
  let limit: MemoryLimit
  let remedy: String

  public var kind: FailureKind { .space }

  public var description: String {
    "\(path): an image of \(width) x \(height) pixels needs "
      + (byteCount.map { "about \(ByteCount.text($0))" } ?? "more memory than can be counted")
      + ", but there are \(ByteCount.text(limit.byteCount))\(limit.note); \(remedy)"
  }
}

extension ModelConfiguration {
  /// - Parameter size: in pixels
  func requireMemory(
    of request: TextToImage.Request, _ size: (height: Int, width: Int)
  ) throws(ImageMemoryError) {
    try requireMemory(
      height: size.height, width: size.width, rows: request.guidance > 1 ? 2 : 1,
      usesTiles: request.usesTiles)
  }

  /// Refuses an image whose passes through the networks take more than there is, before any is allocated.
  ///
  /// - Parameters:
  ///   - height, width: in pixels
  ///   - rows: latents that go through the U-Net together
  ///   - usesTiles: whether the autoencoder works tile by tile
  /// - Throws: ``ImageMemoryError``
  private func requireMemory(
    height: Int, width: Int, rows: Int, usesTiles: Bool
  ) throws(ImageMemoryError) {
    let limit = MemoryLimit.current
    func refusal(_ byteCount: Int?) -> ImageMemoryError {
      ImageMemoryError(
        path: unetPath, height: height, width: width, byteCount: byteCount, limit: limit,
        remedy: usesTiles
          ? "ask for a smaller --size"
          : "ask for a smaller --size, or for --vae-tiling")
    }
    let latent = (height: height / autoencoder.reduction, width: width / autoencoder.reduction)
    let tile = Autoencoder.largestTile / autoencoder.reduction
    let decoded =
      usesTiles ? (height: min(latent.height, tile), width: min(latent.width, tile)) : latent
    let tokens = prompts.tokens
    guard
      NetworkPart.areFeasible(
        unet.parts(height: latent.height, width: latent.width, tokens: tokens)),
      NetworkPart.areFeasible(
        autoencoder.decoderParts(height: decoded.height, width: decoded.width))
    else { throw refusal(nil) }
    let most = max(
      rows * unet.forwardMemory(height: latent.height, width: latent.width, tokens: tokens).most,
      autoencoder.decodingMemory(height: decoded.height, width: decoded.width).most)
    let byteCount = 4 * (most + 3 * height * width)
    guard byteCount <= limit.byteCount else { throw refusal(byteCount) }
  }
}
