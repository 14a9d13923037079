public import Files

/// An image that would exceed the memory while it is generated.
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
      + ", but only \(ByteCount.text(limit.byteCount)) can be used\(limit.note); \(remedy)"
  }
}

extension ModelConfiguration {
  /// Rejects an image of a size that the U-Net cannot halve, or that needs more memory than there is.
  ///
  /// - Parameter size: the size in pixels
  /// - Throws: ``ConfigurationError``, ``ImageMemoryError``
  func requireFeasible(
    _ request: TextToImage.Request, _ size: (height: Int, width: Int)
  ) throws {
    try unet.requireHalvable(
      height: size.height / autoencoder.reduction, width: size.width / autoencoder.reduction,
      path: unetPath)
    try requireMemory(
      height: size.height, width: size.width, rows: request.guidance > 1 ? 2 : 1,
      usesTiles: request.usesTiles)
  }

  /// Rejects an image whose passes through the networks need more memory than there is, before
  /// anything is allocated.
  ///
  /// - Parameters:
  ///   - height, width: the size in pixels
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
    guard FeasibleSize.holds(unet, side: max(latent.height, latent.width)),
      FeasibleSize.holds(
        autoencoder, side: max(decoded.height, decoded.width) * autoencoder.reduction,
        latentSide: max(decoded.height, decoded.width))
    else { throw refusal(nil) }
    // A lower bound on what the largest layers hold simultaneously: a transformer's gated layer,
    // and a residual block of the decoder at full size.
    let passing = 16 * rows * latent.height * latent.width * unet.channels[0]
    let reduction = autoencoder.reduction
    let decoding =
      4 * decoded.height * reduction * decoded.width * reduction * autoencoder.channels[0]
    let byteCount = 4 * (max(passing, decoding) + 3 * height * width)
    guard byteCount <= limit.byteCount else { throw refusal(byteCount) }
  }
}
