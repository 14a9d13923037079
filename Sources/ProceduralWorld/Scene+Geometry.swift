extension SceneShape {
  /// The distance of a point from the shape's outline, in units, positive inside.
  ///
  /// For a point (x, y) from the centre of a shape of radius r, y down:
  /// - circle: r - |(x, y)|
  /// - square: the smaller of h - |x| and h - |y|, h = 0.88 r
  /// - triangle, apex up: the smallest of 0.8 r - y and (t w - |x| H) / sqrt(w^2 + H^2), with
  ///   t = y + 1.05 r below the apex, half the base w = 1.1 r and the height H = 1.85 r
  func signedDistance(to point: SIMD2<Float>, radius r: Float) -> Float {
    switch self {
    case .circle:
      return r - (point * point).sum().squareRoot()
    case .square:
      return 0.88 * r - max(abs(point.x), abs(point.y))
    case .triangle:
      let width = 1.1 * r
      let height = 1.85 * r
      let side = (width * width + height * height).squareRoot()
      let slanted = ((point.y + 1.05 * r) * width - abs(point.x) * height) / side
      return min(0.8 * r - point.y, slanted)
    }
  }

  /// Returns the coverage of a pixel by the shape, in 0...1, from the pixel's distance to the
  /// outline.
  func coverage(of pixel: SIMD2<Float>, radius: Float) -> Float {
    unit(signedDistance(to: pixel, radius: radius) * WorldImage.pixelsPerUnit + 0.5)
  }

  /// Returns the coverage of every pixel of an image by the shape.
  func coverage(centre: SIMD2<Float>, radius: Float) -> [Float] {
    WorldImage.pixelCentres.map { coverage(of: $0 - centre, radius: radius) }
  }
}
