import COpenBLAS

/// Sums of products for one tile of a matrix, computed in registers.
///
///     output[i][j] = initial[j] + sum over runs r and steps k of left[i][r, k] right[r, k][j]
///
/// A convolution has one run per row of its kernel; a plain matrix product has one run.
struct TileProduct {
  var runCount: Int
  var runLength: Int
  /// Floats from one step to the next, and from one run to the next, in the left factor.
  var leftStep: Int
  var leftRunStride: Int
  /// The same in the right factor.
  var rightStep: Int
  var rightRunStride: Int
}

/// The locations of a tile's rows in the left factor.
struct TileRows {
  var pointer: UnsafePointer<Float>
  /// Floats from one row to the next, in each half of a tile.
  var stride: Int
  /// Floats from the first half's first row to the second's.
  ///
  /// Few pointers fit in registers: a tile has two, from which its other rows are strides away.
  var half: Int
}

/// Vertically adjacent tiles: their operands and the destination of their sums.
struct TileColumn {
  let left: TileRows
  let right: UnsafePointer<Float>
  let count: Int
  let output: UnsafeMutablePointer<Float>
  let outputStride: Int
  /// The initial values of every row's sums.
  let initial: UnsafePointer<Float>
  let isAdding: Bool
}

extension TileProduct {
  /// Computes tiles of twice the rows of `Half`, and stores them or adds them to the output.
  ///
  /// Must be called from functions that are not inlined and do nothing else: within other code the
  /// compiler does not keep the sums in registers. All tiles of a column are computed in one call,
  /// which costs as much as a few steps.
  @inline(__always)
  func multiply<Half: TileHalf>(_ column: TileColumn, halves: Half.Type) {
    var (left, output) = (column.left, column.output)
    for _ in 0..<column.count {
      let initial = Half.Columns(column.initial)
      var (upper, lower) = (Half(initial), Half(initial))
      for run in 0..<runCount {
        var rows = TileQuarters<Half>(left, offset: run * leftRunStride)
        var right = column.right + run * rightRunStride
        // The compiler does not unroll loops with unknown counts; unrolling by two takes too many
        // registers.
        let end = right + runLength * rightStep
        while right != end {
          let columns = Half.Columns(right)
          upper.add(rows.first, rows.second, stride: left.stride, columns)
          lower.add(rows.third, rows.fourth, stride: left.stride, columns)
          rows.advance(by: leftStep)
          right += rightStep
        }
      }
      upper.store(to: output, stride: column.outputStride, isAdding: column.isAdding)
      lower.store(
        to: output + Half.rowCount * column.outputStride, stride: column.outputStride,
        isAdding: column.isAdding)
      left.pointer += 2 * Half.rowCount * left.stride
      output += 2 * Half.rowCount * column.outputStride
    }
  }
}

/// The addresses of each quarter of a tile.
///
/// At most three rows are one address plus up to twice its stride, which addressing modes provide.
private struct TileQuarters<Half: TileHalf> {
  var first: UnsafePointer<Float>
  var second: UnsafePointer<Float>
  var third: UnsafePointer<Float>
  var fourth: UnsafePointer<Float>

  @inline(__always)
  init(_ rows: TileRows, offset: Int) {
    first = rows.pointer + offset
    second = first + Half.upperRowCount * rows.stride
    third = first + rows.half
    fourth = third + Half.upperRowCount * rows.stride
  }

  @inline(__always)
  mutating func advance(by step: Int) {
    first = spo_opaque(first + step)
    second = spo_opaque(second + step)
    third = spo_opaque(third + step)
    fourth = spo_opaque(fourth + step)
  }
}
