/// Rows divided by their Euclidean norm.
///
///     y = x / |x|
///
/// - Input, output: `[rows, width]`
public func normalizeLengths(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  for row in 0..<rows {
    let x = input + row * width
    let norm = dotProduct(x, x, count: width).squareRoot()
    scaleAndShift(x, into: output + row * width, count: width, scale: Float(1 / norm))
  }
}

/// The gradient of the input of ``normalizeLengths(_:into:rows:width:)``; overwrites it.
///
///     dx = (dy - y (y . dy)) / |x|
public func normalizeLengthsGradient(
  _ input: UnsafePointer<Float>, output: UnsafePointer<Float>,
  _ outputGradient: UnsafePointer<Float>, into inputGradient: UnsafeMutablePointer<Float>,
  rows: Int, width: Int
) {
  for row in 0..<rows {
    let x = input + row * width
    let y = output + row * width
    let dy = outputGradient + row * width
    let dx = inputGradient + row * width
    let norm = dotProduct(x, x, count: width).squareRoot()
    let projection = dotProduct(y, dy, count: width)
    scaleAndShift(dy, into: dx, count: width, scale: Float(1 / norm))
    addScaled(y, to: dx, count: width, scale: Float(-projection / norm))
  }
}
