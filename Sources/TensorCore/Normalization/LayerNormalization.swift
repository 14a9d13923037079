import HostResources

/// Layer normalization of each row.
///
///     y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
///
/// - Input, output: `[rows, width]`; `statistics` receives each row's mean and reciprocal standard
///   deviation.
/// - Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450
public func normalizeRows(
  _ input: UnsafePointer<Float>, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, statistics: UnsafeMutablePointer<Float>,
  epsilon: Float, rows: Int, width: Int
) {
  parallelRanges(rows, grain: elementGrain / 2 / width) { range in
    for row in range {
      let x = input + row * width
      let mean = sumVectors(x, x, count: width) { value, _ in value } / Double(width)
      let center = Vector(repeating: Float(mean))
      // Padding lanes would add their distance from the mean: the tail is summed separately.
      let whole = width / 8 * 8
      var squares = sumVectors(x, x, count: whole) { value, _ in
        (value - center) * (value - center)
      }
      for index in whole..<width {
        squares += (Double(x[index]) - mean) * (Double(x[index]) - mean)
      }
      let reciprocal = 1 / (squares / Double(width) + Double(epsilon)).squareRoot()
      statistics[row * 2] = Float(mean)
      statistics[row * 2 + 1] = Float(reciprocal)
      let scale = Vector(repeating: Float(reciprocal))
      mapVectors(x, gamma, beta, into: output + row * width, count: width) {
        $2.addingProduct(($0 - center) * scale, $1)
      }
    }
  }
}

/// The gradients of `normalizeRows`.
///
/// With `g = dy gamma`, `h = (x - mean) r` and averages over a row:
///
///     dx = r (g - average(g) - h average(g h)),  dgamma = sum dy h,  dbeta = sum dy
///
/// - Parameter parameterGradients: `dgamma` and `dbeta`, `[width]` each; nil if not needed.
public func normalizeRowsGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  gamma: UnsafePointer<Float>, statistics: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>,
  parameterGradients: (gamma: UnsafeMutablePointer<Float>, beta: UnsafeMutablePointer<Float>)?,
  rows: Int, width: Int
) {
  parallelRanges(rows, grain: elementGrain / 2 / width) { range in
    for row in range {
      let x = input + row * width
      let dy = outputGradient + row * width
      let dx = inputGradient + row * width
      let center = Vector(repeating: statistics[row * 2])
      let scale = Vector(repeating: statistics[row * 2 + 1])
      mapVectors(dy, gamma, into: dx, count: width) { $0 * $1 }
      // In the padding g is 0, so padded lanes add nothing.
      let average = sumVectors(dx, x, count: width) { g, _ in g } / Double(width)
      let product = sumVectors(dx, x, count: width) { $0 * ($1 - center) * scale } / Double(width)
      let averages = Vector(repeating: Float(average))
      let products = Vector(repeating: Float(product))
      mapVectors(UnsafePointer(dx), x, into: dx, count: width) {
        scale * ($0 - averages - ($1 - center) * scale * products)
      }
    }
  }
  guard let (gammaGradient, betaGradient) = parameterGradients else { return }
  parallelRanges((width + 7) / 8, grain: max(1, elementGrain / 8 / rows)) { range in
    for block in range {
      let column = block * 8
      let count = min(8, width - column)
      var gammaSum = Vector.zero
      var betaSum = Vector.zero
      for row in 0..<rows {
        let index = row * width + column
        let dy =
          count == 8
          ? loadVector(outputGradient + index)
          : loadPartialVector(outputGradient + index, count)
        let x = count == 8 ? loadVector(input + index) : loadPartialVector(input + index, count)
        betaSum += dy
        gammaSum +=
          dy * (x - Vector(repeating: statistics[row * 2]))
          * Vector(repeating: statistics[row * 2 + 1])
      }
      storePartialVector(gammaSum, to: gammaGradient + column, count)
      storePartialVector(betaSum, to: betaGradient + column, count)
    }
  }
}
