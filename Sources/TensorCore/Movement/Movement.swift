import HostResources

/// Copies `rows` rows of `width` floats between two strided locations.
public func copyRows(
  _ input: UnsafePointer<Float>, inputStride: Int, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, width: Int
) {
  parallelRanges(rows, grain: elementGrain / max(1, width)) { range in
    for row in range {
      (output + row * outputStride).update(from: input + row * inputStride, count: width)
    }
  }
}

/// Nearest-neighbour upsampling by two: `[batch, height, width, channels]` to
/// `[batch, 2 height, 2 width, channels]`.
public func upsampleNearest(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, batch: Int, height: Int,
  width: Int, channels: Int
) {
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

/// The adjoint of `upsampleNearest`: each pixel's gradient is the sum of its four copies'.
public func upsampleNearestGradient(
  _ outputGradient: UnsafePointer<Float>, into inputGradient: UnsafeMutablePointer<Float>,
  batch: Int, height: Int, width: Int, channels: Int
) {
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

/// Rows of `[..., width]` at `indices`, in that order.
public func gatherRows(
  _ input: UnsafePointer<Float>, at indices: [Int], into output: UnsafeMutablePointer<Float>,
  width: Int
) {
  for (row, index) in indices.enumerated() {
    (output + row * width).update(from: input + index * width, count: width)
  }
}

/// Adds each row of `input` to the row of `output` at its index, in order.
public func scatterRows(
  _ input: UnsafePointer<Float>, at indices: [Int], to output: UnsafeMutablePointer<Float>,
  width: Int
) {
  for (row, index) in indices.enumerated() {
    addScaled(input + row * width, to: output + index * width, count: width)
  }
}

/// `[batch, rows, columns, width]` to `[batch, columns, rows, width]`.
public func transposeRows(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, batch: Int, rows: Int,
  columns: Int, width: Int
) {
  for image in 0..<batch {
    let source = input + image * rows * columns * width
    let target = output + image * rows * columns * width
    if width == 1 {
      for row in 0..<rows {
        for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
      }
    } else {
      for row in 0..<rows {
        copyRows(
          source + row * columns * width, inputStride: width, into: target + row * width,
          outputStride: rows * width, rows: columns, width: width)
      }
    }
  }
}
