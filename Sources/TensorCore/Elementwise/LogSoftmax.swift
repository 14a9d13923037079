import Foundation

/// The logarithm of the softmax of each row, in double precision.
///
///     y = x - log sum exp x
///
/// - Input, output: `[rows, width]`
public func logSoftmax(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  for row in 0..<rows {
    let x = UnsafeBufferPointer(start: input + row * width, count: width)
    let largest = Double(x.max() ?? 0)
    let total = x.reduce(0.0) { $0 + exp(Double($1) - largest) }
    let normalizer = largest + log(total)
    for column in 0..<width {
      output[row * width + column] = Float(Double(x[column]) - normalizer)
    }
  }
}

/// The gradient of the input of ``logSoftmax(_:into:rows:width:)``; overwrites it.
///
///     dx = dy - exp(y) sum dy
public func logSoftmaxGradient(
  output: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  for row in 0..<rows {
    let dy = outputGradient + row * width
    let total = sum(dy, count: width)
    for column in 0..<width {
      let probability = exp(Double(output[row * width + column]))
      inputGradient[row * width + column] = Float(Double(dy[column]) - probability * total)
    }
  }
}
