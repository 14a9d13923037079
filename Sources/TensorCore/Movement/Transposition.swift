/// `target[j][i] = source[i][j]` for a row-major matrix `[rows, columns]`, on the calling thread.
func transposeMatrix(
  _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
  into target: UnsafeMutablePointer<Float>, targetStride: Int
) {
  let (wholeRows, wholeColumns) = (rows / 8 * 8, columns / 8 * 8)
  @inline(__always)
  func transpose(_ row: Int, _ column: Int) {
    transposeSquare(
      source + row * stride + column, stride, into: target + column * targetStride + row,
      targetStride)
  }
  // Along the rows that are further apart, of which a cache may hold few at a time.
  if stride > targetStride {
    for row in Swift.stride(from: 0, to: wholeRows, by: 8) {
      for column in Swift.stride(from: 0, to: wholeColumns, by: 8) { transpose(row, column) }
    }
  } else {
    for column in Swift.stride(from: 0, to: wholeColumns, by: 8) {
      for row in Swift.stride(from: 0, to: wholeRows, by: 8) { transpose(row, column) }
    }
  }
  for row in 0..<rows {
    for column in (row < wholeRows ? wholeColumns : 0)..<columns {
      target[column * targetStride + row] = source[row * stride + column]
    }
  }
}

/// The same for eight rows and columns.
@inline(__always)
private func transposeSquare(
  _ source: UnsafePointer<Float>, _ stride: Int, into target: UnsafeMutablePointer<Float>,
  _ targetStride: Int
) {
  // Each round exchanges one bit of the row's index with one of the column's: after three rounds
  // they are swapped.
  func row(_ index: Int) -> Vector { loadVector(source + index * stride) }
  let (a0, a1) = separated(row(0), row(1))
  let (a2, a3) = separated(row(2), row(3))
  let (a4, a5) = separated(row(4), row(5))
  let (a6, a7) = separated(row(6), row(7))
  let (b0, b1) = separated(a0, a2)
  let (b2, b3) = separated(a1, a3)
  let (b4, b5) = separated(a4, a6)
  let (b6, b7) = separated(a5, a7)
  let (c0, c4) = separated(b0, b4)
  let (c2, c6) = separated(b1, b5)
  let (c1, c5) = separated(b2, b6)
  let (c3, c7) = separated(b3, b7)
  storeVector(c0, to: target)
  storeVector(c1, to: target + targetStride)
  storeVector(c2, to: target + 2 * targetStride)
  storeVector(c3, to: target + 3 * targetStride)
  storeVector(c4, to: target + 4 * targetStride)
  storeVector(c5, to: target + 5 * targetStride)
  storeVector(c6, to: target + 6 * targetStride)
  storeVector(c7, to: target + 7 * targetStride)
}

/// Returns the floats at even and at odd positions of two consecutive vectors.
@inline(__always)
private func separated(_ first: Vector, _ second: Vector) -> (Vector, Vector) {
  let both = SIMD16(lowHalf: first, highHalf: second)
  return (both.evenHalf, both.oddHalf)
}
