import Imaging

/// An image as numbers, which a filter may lead beyond 0...1.
///
/// Cubic convolution with a = -0.5, widened by the scale where the image shrinks, as Pillow has it for
/// bytes and torchvision (with `antialias`) for numbers.
struct ResampledImage {
  let width: Int
  let height: Int
  /// `[height, width, 3]`.
  let values: [Float]

  init(_ image: RGBImage) {
    width = image.width
    height = image.height
    values = image.pixels.map { Float($0) / 255 }
  }

  private init(width: Int, height: Int, values: [Float]) {
    self.width = width
    self.height = height
    self.values = values
  }

  func resized(width newWidth: Int, height newHeight: Int) -> ResampledImage {
    var rows = self
    if newWidth != width {
      let windows = Self.windows(from: width, to: newWidth)
      rows = ResampledImage(
        width: newWidth, height: height,
        values: (0..<height).flatMap { y in
          windows.flatMap { window in
            (0..<3).map { channel in
              window.sum { values[3 * (y * width + $0) + channel] }
            }
          }
        })
    }
    guard newHeight != height else { return rows }
    let windows = Self.windows(from: height, to: newHeight)
    return ResampledImage(
      width: newWidth, height: newHeight,
      values: windows.flatMap { window in
        (0..<3 * newWidth).map { column in
          window.sum { rows.values[3 * $0 * newWidth + column] }
        }
      })
  }

  /// The input samples that make an output sample.
  private struct Window {
    let first: Int
    let weights: [Float]

    func sum(_ value: (Int) -> Float) -> Float {
      var sum: Float = 0
      for (place, weight) in weights.enumerated() { sum += weight * value(first + place) }
      return sum
    }
  }

  private static func windows(from inputCount: Int, to outputCount: Int) -> [Window] {
    let scale = Double(inputCount) / Double(outputCount)
    let stretch = max(scale, 1)
    return (0..<outputCount).map { output in
      let centre = (Double(output) + 0.5) * scale
      let first = max(Int(centre - 2 * stretch + 0.5), 0)
      let end = min(Int(centre + 2 * stretch + 0.5), inputCount)
      let weights = (first..<end).map { cubic((Double($0) - centre + 0.5) / stretch) }
      let total = weights.reduce(0, +)
      return Window(first: first, weights: weights.map { Float($0 / total) })
    }
  }

  /// Cubic convolution with a = -0.5 (Keys 1981).
  private static func cubic(_ distance: Double) -> Double {
    let x = abs(distance)
    if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * -0.5 }
    return 0
  }
}
