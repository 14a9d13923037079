/// Sums of products that are computed for one tile of a matrix at a time, in registers.
///
///     output[i][j] = initial[j] + sum over runs r and steps k of left[i][r, k] right[r, k][j]
///
/// A convolution has one run for each row of its kernel; a plain product of matrices has one run.
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

/// Where the rows of a tile begin in the left factor.
struct TileRows {
  var pointer: UnsafePointer<Float>
  /// Floats from one row to the next, in each half of a tile.
  var stride: Int
  /// Floats from the first half's first row to the second's.
  ///
  /// Few pointers stay in registers: a tile has two, from which its other rows are strides away.
  var half: Int
}

/// Tiles that lie below one another: what they are made of and where their sums go.
struct TileColumn {
  let left: TileRows
  let right: UnsafePointer<Float>
  let count: Int
  let output: UnsafeMutablePointer<Float>
  let outputStride: Int
  /// The sums of every row start with these numbers.
  let initial: UnsafePointer<Float>
  let isAdding: Bool
}

extension TileProduct {
  /// Computes tiles of twice the rows of `Half`, and stores them or adds them to the output.
  ///
  /// To be called from functions that are not inlined and do nothing else: among other code the compiler
  /// does not keep the sums in registers. All tiles of a column are computed at once, as a call takes the
  /// time of a few steps.
  ///
  /// - Parameter isUnrolled: whether the compiler may take two steps at once, which is faster where it leaves enough
  ///   registers; in a tile of 12 x 32 it takes a third of the speed
  @inline(__always)
  func multiply<Half: TileSums>(
    _ column: TileColumn, halves: Half.Type, isUnrolled: Bool = false
  ) {
    var (left, output) = (column.left, column.output)
    for _ in 0..<column.count {
      let initial = Half.Columns(column.initial)
      var (upper, lower) = (Half(initial), Half(initial))
      for run in 0..<runCount {
        var p = left.pointer + run * leftRunStride
        var q = p + left.half
        var r = column.right + run * rightRunStride
        if isUnrolled {
          for _ in 0..<runLength { step(&p, &q, &r, left.stride, &upper, &lower) }
        } else {
          // The compiler unrolls no loop whose count it does not know.
          let end = r + runLength * rightStep
          while r != end { step(&p, &q, &r, left.stride, &upper, &lower) }
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

  /// Adds the products of one step, and goes on to the next.
  @inline(__always)
  private func step<Half: TileSums>(
    _ p: inout UnsafePointer<Float>, _ q: inout UnsafePointer<Float>,
    _ r: inout UnsafePointer<Float>, _ stride: Int, _ upper: inout Half, _ lower: inout Half
  ) {
    let right = Half.Columns(r)
    upper.add(p, stride: stride, right)
    lower.add(q, stride: stride, right)
    p += leftStep
    q += leftStep
    r += rightStep
  }
}
