import Foundation
import NN

/// The affine map that gives samples mean 0 and covariance 1.
///
///     y = W (x - mean),  W = L^-1,  covariance = L L^T
struct Whitening {
  let mean: [Double]
  /// Row-major.
  let matrix: [[Double]]
  /// L, which inverts the map.
  let inverse: [[Double]]

  /// - Parameter samples: rows of one width; more rows than columns
  init(of samples: [[Float]]) {
    let width = samples[0].count
    let count = Double(samples.count)
    let mean = (0..<width).map { column in
      samples.reduce(0.0) { $0 + Double($1[column]) } / count
    }
    var covariance = [[Double]](repeating: [Double](repeating: 0, count: width), count: width)
    for sample in samples {
      let centred = zip(sample, mean).map { Double($0) - $1 }
      for row in 0..<width {
        for column in 0...row { covariance[row][column] += centred[row] * centred[column] / count }
      }
    }
    self.mean = mean
    let factor = Self.choleskyFactor(covariance)
    inverse = factor
    matrix = Self.inverted(factor)
  }

  func callAsFunction(_ sample: [Float]) -> [Float] {
    let centred = zip(sample, mean).map { Double($0) - $1 }
    return matrix.map { row in Float(zip(row, centred).reduce(0) { $0 + $1.0 * $1.1 }) }
  }

  /// Returns the lower triangular L with L L^T = a, of which only the lower half is read.
  private static func choleskyFactor(_ a: [[Double]]) -> [[Double]] {
    var factor = a.map { $0.map { _ in 0.0 } }
    for row in a.indices {
      for column in 0...row {
        let known = (0..<column).reduce(0.0) { $0 + factor[row][$1] * factor[column][$1] }
        factor[row][column] =
          row == column
          ? max(a[row][row] - known, 1e-12).squareRoot()
          : (a[row][column] - known) / factor[column][column]
      }
    }
    return factor
  }

  /// Returns the inverse of a lower triangular matrix, by substitution.
  private static func inverted(_ factor: [[Double]]) -> [[Double]] {
    var result = factor.map { $0.map { _ in 0.0 } }
    for column in factor.indices {
      for row in column..<factor.count {
        let known = (column..<row).reduce(0.0) { $0 + factor[row][$1] * result[$1][column] }
        result[row][column] = ((row == column ? 1 : 0) - known) / factor[row][row]
      }
    }
    return result
  }
}

extension Whitening {
  /// Folds the map into an autoencoder's two 1 x 1 convolutions, so that its latents are whitened
  /// and its images unchanged.
  ///
  /// - Parameters:
  ///   - quant: weight `[2n, 2n, 1, 1]` and bias, the mean in the first n rows, the log-variance after
  ///   - postQuant: weight `[n, n, 1, 1]` and bias
  ///   - variance: the mean posterior variance of each latent channel before whitening
  func fold(
    intoQuant quant: (weight: Parameter, bias: Parameter),
    postQuant: (weight: Parameter, bias: Parameter), variance: [Double]
  ) {
    let n = mean.count
    let weight = quant.weight.storedValues.map { Double($0) }
    let bias = quant.bias.storedValues.map { Double($0) }
    var newWeight = [Float](repeating: 0, count: 4 * n * n)
    var newBias = [Float](repeating: 0, count: 2 * n)
    for row in 0..<n {
      for column in 0..<2 * n {
        newWeight[row * 2 * n + column] = Float(
          (0..<n).reduce(0.0) { $0 + matrix[row][$1] * weight[$1 * 2 * n + column] })
      }
      newBias[row] = Float((0..<n).reduce(0.0) { $0 + matrix[row][$1] * (bias[$1] - mean[$1]) })
      // Log-variances become constants: weight 0.
      newBias[n + row] = Float(
        log((0..<n).reduce(0.0) { $0 + matrix[row][$1] * matrix[row][$1] * variance[$1] }))
    }
    quant.weight.assign(newWeight)
    quant.bias.assign(newBias)

    let postWeight = postQuant.weight.storedValues.map { Double($0) }
    let postBias = postQuant.bias.storedValues.map { Double($0) }
    var foldedWeight = [Float](repeating: 0, count: n * n)
    var foldedBias = [Float](repeating: 0, count: n)
    for row in 0..<n {
      for column in 0..<n {
        foldedWeight[row * n + column] = Float(
          (0..<n).reduce(0.0) { $0 + postWeight[row * n + $1] * inverse[$1][column] })
      }
      foldedBias[row] = Float(
        (0..<n).reduce(postBias[row]) { $0 + postWeight[row * n + $1] * mean[$1] })
    }
    postQuant.weight.assign(foldedWeight)
    postQuant.bias.assign(foldedBias)
  }
}
