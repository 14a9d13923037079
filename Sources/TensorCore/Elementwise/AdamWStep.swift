import HostResources

/// One AdamW update of a flat array.
public struct AdamWStep: Sendable {
  package let beta1: Float
  package let beta2: Float
  package let epsilon: Float
  package let decay: Float
  package let rate: Float
  package let squareScale: Float

  /// - Parameters:
  ///   - decay: the factor of the parameter, `1 - rate * weight decay`
  ///   - rate: the learning rate divided by the bias correction of the mean
  ///   - squareScale: the reciprocal root of the bias correction of the squares
  public init(
    beta1: Float, beta2: Float, epsilon: Float, decay: Float, rate: Float, squareScale: Float
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.decay = decay
    self.rate = rate
    self.squareScale = squareScale
  }

  public func apply(
    _ gradient: UnsafePointer<Float>, mean: UnsafeMutablePointer<Float>,
    square: UnsafeMutablePointer<Float>, parameter: UnsafeMutablePointer<Float>, count: Int
  ) {
    parallelRanges(count, grain: elementGrain) { range in
      for index in range {
        let g = gradient[index]
        mean[index] = beta1 * mean[index] + (1 - beta1) * g
        square[index] = beta2 * square[index] + (1 - beta2) * g * g
        let deviation = square[index].squareRoot() * squareScale + epsilon
        parameter[index] = parameter[index] * decay - rate * mean[index] / deviation
      }
    }
  }
}
