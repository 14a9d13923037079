import Foundation
import TensorCore

extension AttentionShape {
  /// The tokens without what lies between them.
  private func tokens(_ values: [Float], _ count: Int, _ stride: Int) -> [Float] {
    (0..<batch * count).flatMap { values[$0 * stride..<$0 * stride + heads * headWidth] }
  }

  func queryTokens(_ values: [Float]) -> [Float] { tokens(values, queryCount, queryStride) }
  func keyTokens(_ values: [Float]) -> [Float] { tokens(values, keyCount, keyStride) }
  func valueTokens(_ values: [Float]) -> [Float] { tokens(values, keyCount, valueStride) }
  func outputTokens(_ values: [Float]) -> [Float] { tokens(values, queryCount, outputStride) }
}

/// Attention and its gradients by their definition, in plain loops and doubles, over packed tokens.
struct AttentionReference {
  private(set) var output: [Double]
  private(set) var logSumExp: [Double]
  private(set) var queryGradient: [Double]
  private(set) var keyGradient: [Double]
  private(set) var valueGradient: [Double]

  init(
    _ shape: AttentionShape, _ query: [Float], _ key: [Float], _ value: [Float],
    _ outputGradient: [Float]
  ) {
    output = Array(repeating: 0, count: query.count)
    logSumExp = Array(repeating: 0, count: shape.batch * shape.heads * shape.queryCount)
    queryGradient = Array(repeating: 0, count: query.count)
    keyGradient = Array(repeating: 0, count: key.count)
    valueGradient = Array(repeating: 0, count: key.count)
    let tokenWidth = shape.heads * shape.headWidth
    for b in 0..<shape.batch {
      for h in 0..<shape.heads {
        for t in 0..<shape.queryCount {
          let q = (b * shape.queryCount + t) * tokenWidth + h * shape.headWidth
          let keys = (0..<(shape.isCausal ? min(t + 1, shape.keyCount) : shape.keyCount))
            .map { (b * shape.keyCount + $0) * tokenWidth + h * shape.headWidth }
          let scores = keys.map { k in
            Double(shape.scale)
              * (0..<shape.headWidth).reduce(0.0) {
                $0 + Double(query[q + $1]) * Double(key[k + $1])
              }
          }
          let largest = scores.max() ?? 0
          let sum = scores.reduce(0.0) { $0 + exp($1 - largest) }
          logSumExp[(b * shape.heads + h) * shape.queryCount + t] = largest + log(sum)
          let weights = scores.map { exp($0 - largest) / sum }
          for (k, weight) in zip(keys, weights) {
            for i in 0..<shape.headWidth {
              output[q + i] += weight * Double(value[k + i])
              valueGradient[k + i] += weight * Double(outputGradient[q + i])
            }
          }
          let weightGradients = keys.map { k in
            (0..<shape.headWidth).reduce(0.0) {
              $0 + Double(outputGradient[q + $1]) * Double(value[k + $1])
            }
          }
          let mean = zip(weights, weightGradients).reduce(0.0) { $0 + $1.0 * $1.1 }
          for (k, (weight, gradient)) in zip(keys, zip(weights, weightGradients)) {
            let scoreGradient = Double(shape.scale) * weight * (gradient - mean)
            for i in 0..<shape.headWidth {
              queryGradient[q + i] += scoreGradient * Double(key[k + i])
              keyGradient[k + i] += scoreGradient * Double(query[q + i])
            }
          }
        }
      }
    }
  }
}
