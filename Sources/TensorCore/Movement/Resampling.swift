import HostResources

/// For each position of a resized axis, the four positions of the original that it blends.
///
/// Cubic convolution with a = -0.75, half-pixel centres, no antialiasing, edges repeated, like
/// PyTorch's `interpolate(mode: "bicubic", align_corners: false)`.
public struct CubicTaps: Sendable {
  /// Four per position of the result.
  public let sources: [Int]
  public let weights: [Float]

  /// - Source: Keys 1981, "Cubic convolution interpolation for digital image processing"
  public init(from length: Int, to newLength: Int) {
    let scale = Float(length) / Float(newLength)
    var sources: [Int] = []
    var weights: [Float] = []
    for place in 0..<newLength {
      let position = scale * (Float(place) + 0.5) - 0.5
      let floor = position.rounded(.down)
      let t = position - floor
      for (tap, distance) in zip(-1...2, [t + 1, t, 1 - t, 2 - t]) {
        sources.append(min(max(Int(floor) + tap, 0), length - 1))
        weights.append(Self.weight(distance))
      }
    }
    self.sources = sources
    self.weights = weights
  }

  private static func weight(_ distance: Float) -> Float {
    let a: Float = -0.75
    let x = distance
    return x <= 1
      ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  }
}

/// `output[row, place] = sum over taps of weight * input[row, source]`, with `width` floats per
/// position; `input` is `[rows, length, width]`.
public func resample(
  _ input: UnsafePointer<Float>, length: Int, into output: UnsafeMutablePointer<Float>,
  rows: Int, width: Int, _ taps: CubicTaps
) {
  let positions = taps.sources.count / 4
  parallelRanges(rows * positions, grain: max(1, elementGrain / (4 * width))) { range in
    for index in range {
      let source = input + index / positions * length * width
      let target = output + index * width
      let tap = index % positions * 4
      target.update(repeating: 0, count: width)
      for offset in tap..<tap + 4 {
        let values = source + taps.sources[offset] * width
        let weight = taps.weights[offset]
        for column in 0..<width { target[column] += weight * values[column] }
      }
    }
  }
}

/// The adjoint of `resample`.
public func resampleGradient(
  _ outputGradient: UnsafePointer<Float>, length: Int,
  into inputGradient: UnsafeMutablePointer<Float>, rows: Int, width: Int, _ taps: CubicTaps
) {
  let positions = taps.sources.count / 4
  inputGradient.update(repeating: 0, count: rows * length * width)
  parallelRanges(rows, grain: max(1, elementGrain / (4 * positions * width))) { range in
    for row in range {
      for tap in 0..<positions * 4 {
        let gradient = outputGradient + (row * positions + tap / 4) * width
        let target = inputGradient + (row * length + taps.sources[tap]) * width
        let weight = taps.weights[tap]
        for column in 0..<width { target[column] += weight * gradient[column] }
      }
    }
  }
}
