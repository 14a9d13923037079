/// Bounds that keep a pass's memory and operation counts within integers, whatever a pipeline
/// multiplies them by: both far beyond any machine.
enum FeasibleSize {
  private static let mostNumbers = 0x1p44
  private static let mostOperations = 0x1p60

  /// Whether a pass over a latent of `side` x `side` stays well within the bounds.
  static func holds(_ unet: UNetConfiguration, side: Int) -> Bool {
    (0..<unet.channels.count).allSatisfy { level in
      let layers = 3 * (1 + unet.layersPerBlock[level]) * (1 + unet.transformerLayers[level])
      return holds(
        side: side >> level, width: max(unet.channels[level], unet.contextWidth), layers: layers,
        attends: true)
    }
  }

  /// The same for images of `side` x `side`.
  static func holds(_ autoencoder: AutoencoderConfiguration, side: Int, latentSide: Int) -> Bool {
    let channels = autoencoder.channels
    return channels.indices.allSatisfy { level in
      holds(
        side: side >> level, width: channels[level], layers: 2 + autoencoder.layersPerBlock,
        attends: false)
    } && holds(side: latentSide, width: channels[channels.count - 1], layers: 1, attends: true)
  }

  private static func holds(side: Int, width: Int, layers: Int, attends: Bool) -> Bool {
    let (positions, width, layers) = (Double(side) * Double(side), Double(width), Double(layers))
    // A 3 x 3 convolution and eight linear layers; attention between all positions.
    let operations = layers * positions * width * (36 * width + (attends ? 4 * positions : 0))
    return 64 * layers * positions * width <= mostNumbers && operations <= mostOperations
  }
}
