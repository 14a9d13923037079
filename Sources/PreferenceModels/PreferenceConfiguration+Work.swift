import Diffusion

extension PreferenceConfiguration {
  /// The vector of the class and those of all patches.
  public var visionTokens: Int { 1 + (imageSize / patchSize) * (imageSize / patchSize) }

  /// Floating-point operations of embedding one picture, those of its prompt left out.
  public var pictureWork: Int {
    let width = vision.width
    let patches = (visionTokens - 1) * 3 * patchSize * patchSize * width
    let time = VisionTower.timeFeatures * width + width * width + 2 * width * width
    return 2 * (patches + time + width * projectionWidth)
      + vision.forwardWork(tokens: visionTokens, isTimeConditioned: true).total
  }

  /// Floating-point operations of embedding one prompt.
  public var promptWork: Int {
    2 * text.transformer.width * projectionWidth
      + text.transformer.forwardWork(tokens: text.tokens).total
  }
}
