/// Copies `rows` rows of `width` floats between two strided places.
public func copyRows(
  _ input: UnsafePointer<Float>, inputStride: Int, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, width: Int
) {
  profiled("copy") {
    parallelRanges(rows, grain: elementGrain / max(1, width)) { range in
      for row in range {
        (output + row * outputStride).update(from: input + row * inputStride, count: width)
      }
    }
  }
}

/// Nearest-neighbour enlargement by two: `[batch, height, width, channels]` to
/// `[batch, 2 height, 2 width, channels]`.
public func enlargeTwofold(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, batch: Int, height: Int,
  width: Int, channels: Int
) {
  profiled("enlarge") {
    parallelRanges(batch * height, grain: elementGrain / (4 * width * channels)) { range in
      for row in range {
        let source = input + row * width * channels
        let target = output + row * 4 * width * channels
        for column in 0..<width {
          let pixel = source + column * channels
          (target + 2 * column * channels).update(from: pixel, count: channels)
          (target + (2 * column + 1) * channels).update(from: pixel, count: channels)
        }
        (target + 2 * width * channels).update(from: target, count: 2 * width * channels)
      }
    }
  }
}

/// The adjoint of `enlargeTwofold`: each pixel's gradient is the sum of its four copies'.
public func enlargeTwofoldGradient(
  _ outputGradient: UnsafePointer<Float>, into inputGradient: UnsafeMutablePointer<Float>,
  batch: Int, height: Int, width: Int, channels: Int
) {
  profiled("enlarge gradient") {
    let rowLength = 2 * width * channels
    parallelRanges(batch * height, grain: elementGrain / (4 * width * channels)) { range in
      for row in range {
        let upper = outputGradient + row * 2 * rowLength
        for column in 0..<width {
          let one = upper + 2 * column * channels
          let target = inputGradient + (row * width + column) * channels
          mapVectors(one, one + channels, one + rowLength, into: target, count: channels) {
            $0 + $1 + $2
          }
          mapVectors(
            UnsafePointer(target), one + rowLength + channels, into: target, count: channels
          ) { $0 + $1 }
        }
      }
    }
  }
}
