public import Autograd
public import Imaging
public import PreferenceModels

/// The preprocessing of an image for a vision tower: a square of its size, normalised.
public enum ImagePreprocessing: Sendable {
  /// Pillow's bicubic filter on bytes, the shorter edge resized, the centre cut out.
  ///
  /// - Parameter roundsToEven: whether half a margin is rounded to even, as torchvision does, or down, as
  ///   transformers does
  case centre(roundsToEven: Bool)
  /// The longer edge resized by the same filter on numbers, black added at both sides of the shorter.
  case whole

  /// `[1, side, side, 3]`.
  ///
  /// - Throws: `ImageError` if the image is too narrow for its shorter edge to be resized
  public func pixels(
    of image: RGBImage, _ configuration: PreferenceConfiguration
  ) throws -> Tensor {
    let side = configuration.imageSize
    let square: Tensor
    switch self {
    case .centre(let roundsToEven):
      square = Self.cut(
        try image.resized(shorterEdge: side), side: side, roundsToEven: roundsToEven)
    case .whole: square = Self.padded(image, side: side)
    }
    let mean = Tensor(configuration.imageMean, shape: [3])
    let reciprocal = Tensor(configuration.imageDeviation.map { 1 / $0 }, shape: [3])
    return withoutGradients { (square - mean) * reciprocal }
  }

  private static func cut(_ image: RGBImage, side: Int, roundsToEven: Bool) -> Tensor {
    func margin(_ length: Int) -> Int {
      let half = Double(length - side) / 2
      return Int(half.rounded(roundsToEven ? .toNearestOrEven : .down))
    }
    let (top, left) = (margin(image.height), margin(image.width))
    return withoutGradients {
      tensor(image).slice(axis: 1, top..<top + side).slice(axis: 2, left..<left + side)
    }
  }

  private static func padded(_ image: RGBImage, side: Int) -> Tensor {
    let scale = Double(side) / Double(max(image.width, image.height))
    func scaled(_ length: Int) -> Int {
      max(1, Int((Double(length) * scale).rounded(.toNearestOrEven)))
    }
    let (height, width) = (scaled(image.height), scaled(image.width))
    let resized = ResampledImage(image).resized(width: width, height: height)
    var values = [Float](repeating: 0, count: 3 * side * side)
    let (top, left) = ((side - height) / 2, (side - width) / 2)
    for y in 0..<height {
      for column in 0..<3 * width {
        values[3 * ((top + y) * side + left) + column] = resized.values[3 * y * width + column]
      }
    }
    return Tensor(values, shape: [1, side, side, 3])
  }

  /// `[1, height, width, 3]` in 0...1.
  private static func tensor(_ image: RGBImage) -> Tensor {
    Tensor(
      image.pixels.map { Float($0) / 255 }, shape: [1, image.height, image.width, 3])
  }
}
