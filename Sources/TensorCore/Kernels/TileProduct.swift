/// Sums of products that are computed for one tile of a matrix at a time, in registers.
///
///     output[i][j] = initial[j] + sum over runs r and steps k of left[i][r, k] right[r, k][j]
///
/// A convolution has one run for each row of its kernel; a plain product of matrices has one run.
struct TileProduct {
  /// Six rows of two vectors are the most sums that 16 vector registers hold beside the operands.
  static let rows = 6
  static let columns = 16

  var runCount: Int
  var runLength: Int
  /// Floats from one step to the next, and from one run to the next, in the left factor.
  var leftStep: Int
  var leftRunStride: Int
  /// The same in the right factor.
  var rightStep: Int
  var rightRunStride: Int
}

extension TileProduct {
  /// The panels into which columns are cut, a multiple of 8: of 16, the last one of 24 rather than of 8.
  ///
  /// A tile of 8 columns takes most of the time of one with 16.
  static func panelCount(_ count: Int) -> Int {
    max(count / columns, min(1, count))
  }

  /// The columns of a panel.
  static func panel(_ index: Int, of count: Int) -> Range<Int> {
    let end = index == panelCount(count) - 1 ? count : (index + 1) * columns
    return index * columns..<end
  }
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

extension TileProduct {
  // None of these is inlined: among other code the compiler does not keep the sums in registers. And each
  // computes all tiles that lie below one another, as a call takes the time of a few steps.

  /// Computes tiles of six rows and 16 columns, and stores them or adds them to the output.
  ///
  /// The sums of every row start with the 16 numbers at `initial`.
  @inline(never)
  func multiply6x16(
    _ left: TileRows, _ right: UnsafePointer<Float>, tileCount: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, initial: UnsafePointer<Float>,
    isAdding: Bool
  ) {
    var (left, output) = (left, output)
    for _ in 0..<tileCount {
      let first = loadVector(initial)
      let second = loadVector(initial + 8)
      var (a0, a1, a2, a3, a4, a5) = (first, first, first, first, first, first)
      var (b0, b1, b2, b3, b4, b5) = (second, second, second, second, second, second)
      for run in 0..<runCount {
        var p = left.pointer + run * leftRunStride
        var q = p + left.half
        var r = right + run * rightRunStride
        for _ in 0..<runLength {
          let u = loadVector(r)
          let v = loadVector(r + 8)
          var x = Vector(repeating: p[0])
          a0 = a0.addingProduct(x, u)
          b0 = b0.addingProduct(x, v)
          x = Vector(repeating: p[left.stride])
          a1 = a1.addingProduct(x, u)
          b1 = b1.addingProduct(x, v)
          x = Vector(repeating: p[2 * left.stride])
          a2 = a2.addingProduct(x, u)
          b2 = b2.addingProduct(x, v)
          x = Vector(repeating: q[0])
          a3 = a3.addingProduct(x, u)
          b3 = b3.addingProduct(x, v)
          x = Vector(repeating: q[left.stride])
          a4 = a4.addingProduct(x, u)
          b4 = b4.addingProduct(x, v)
          x = Vector(repeating: q[2 * left.stride])
          a5 = a5.addingProduct(x, u)
          b5 = b5.addingProduct(x, v)
          p += leftStep
          q += leftStep
          r += rightStep
        }
      }
      put(a0, b0, output, isAdding)
      put(a1, b1, output + outputStride, isAdding)
      put(a2, b2, output + 2 * outputStride, isAdding)
      put(a3, b3, output + 3 * outputStride, isAdding)
      put(a4, b4, output + 4 * outputStride, isAdding)
      put(a5, b5, output + 5 * outputStride, isAdding)
      left.pointer += 6 * left.stride
      output += 6 * outputStride
    }
  }

  /// Computes tiles of four rows and 16 columns, for what is left below those of six.
  @inline(never)
  func multiply4x16(
    _ left: TileRows, _ right: UnsafePointer<Float>, tileCount: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, initial: UnsafePointer<Float>,
    isAdding: Bool
  ) {
    var (left, output) = (left, output)
    for _ in 0..<tileCount {
      let first = loadVector(initial)
      let second = loadVector(initial + 8)
      var (a0, a1, a2, a3) = (first, first, first, first)
      var (b0, b1, b2, b3) = (second, second, second, second)
      for run in 0..<runCount {
        var p = left.pointer + run * leftRunStride
        var q = p + left.half
        var r = right + run * rightRunStride
        for _ in 0..<runLength {
          let u = loadVector(r)
          let v = loadVector(r + 8)
          var x = Vector(repeating: p[0])
          a0 = a0.addingProduct(x, u)
          b0 = b0.addingProduct(x, v)
          x = Vector(repeating: p[left.stride])
          a1 = a1.addingProduct(x, u)
          b1 = b1.addingProduct(x, v)
          x = Vector(repeating: q[0])
          a2 = a2.addingProduct(x, u)
          b2 = b2.addingProduct(x, v)
          x = Vector(repeating: q[left.stride])
          a3 = a3.addingProduct(x, u)
          b3 = b3.addingProduct(x, v)
          p += leftStep
          q += leftStep
          r += rightStep
        }
      }
      put(a0, b0, output, isAdding)
      put(a1, b1, output + outputStride, isAdding)
      put(a2, b2, output + 2 * outputStride, isAdding)
      put(a3, b3, output + 3 * outputStride, isAdding)
      left.pointer += 4 * left.stride
      output += 4 * outputStride
    }
  }

  /// Computes tiles of four rows and 24 columns, for what is left beside those of 16.
  @inline(never)
  func multiply4x24(
    _ left: TileRows, _ right: UnsafePointer<Float>, tileCount: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, initial: UnsafePointer<Float>,
    isAdding: Bool
  ) {
    var (left, output) = (left, output)
    for _ in 0..<tileCount {
      let first = loadVector(initial)
      let second = loadVector(initial + 8)
      let third = loadVector(initial + 16)
      var (a0, a1, a2, a3) = (first, first, first, first)
      var (b0, b1, b2, b3) = (second, second, second, second)
      var (c0, c1, c2, c3) = (third, third, third, third)
      for run in 0..<runCount {
        var p = left.pointer + run * leftRunStride
        var q = p + left.half
        var r = right + run * rightRunStride
        for _ in 0..<runLength {
          let u = loadVector(r)
          let v = loadVector(r + 8)
          let w = loadVector(r + 16)
          var x = Vector(repeating: p[0])
          a0 = a0.addingProduct(x, u)
          b0 = b0.addingProduct(x, v)
          c0 = c0.addingProduct(x, w)
          x = Vector(repeating: p[left.stride])
          a1 = a1.addingProduct(x, u)
          b1 = b1.addingProduct(x, v)
          c1 = c1.addingProduct(x, w)
          x = Vector(repeating: q[0])
          a2 = a2.addingProduct(x, u)
          b2 = b2.addingProduct(x, v)
          c2 = c2.addingProduct(x, w)
          x = Vector(repeating: q[left.stride])
          a3 = a3.addingProduct(x, u)
          b3 = b3.addingProduct(x, v)
          c3 = c3.addingProduct(x, w)
          p += leftStep
          q += leftStep
          r += rightStep
        }
      }
      put(a0, b0, c0, output, isAdding)
      put(a1, b1, c1, output + outputStride, isAdding)
      put(a2, b2, c2, output + 2 * outputStride, isAdding)
      put(a3, b3, c3, output + 3 * outputStride, isAdding)
      left.pointer += 4 * left.stride
      output += 4 * outputStride
    }
  }

  /// Computes tiles of eight rows and 8 columns, where there are no more.
  @inline(never)
  func multiply8x8(
    _ left: TileRows, _ right: UnsafePointer<Float>, tileCount: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, initial: UnsafePointer<Float>,
    isAdding: Bool
  ) {
    var (left, output) = (left, output)
    for _ in 0..<tileCount {
      let first = loadVector(initial)
      var (a0, a1, a2, a3) = (first, first, first, first)
      var (a4, a5, a6, a7) = (first, first, first, first)
      for run in 0..<runCount {
        var p = left.pointer + run * leftRunStride
        var q = p + left.half
        var r = right + run * rightRunStride
        for _ in 0..<runLength {
          let u = loadVector(r)
          a0 = a0.addingProduct(Vector(repeating: p[0]), u)
          a1 = a1.addingProduct(Vector(repeating: p[left.stride]), u)
          a2 = a2.addingProduct(Vector(repeating: p[2 * left.stride]), u)
          a3 = a3.addingProduct(Vector(repeating: p[3 * left.stride]), u)
          a4 = a4.addingProduct(Vector(repeating: q[0]), u)
          a5 = a5.addingProduct(Vector(repeating: q[left.stride]), u)
          a6 = a6.addingProduct(Vector(repeating: q[2 * left.stride]), u)
          a7 = a7.addingProduct(Vector(repeating: q[3 * left.stride]), u)
          p += leftStep
          q += leftStep
          r += rightStep
        }
      }
      put(a0, output, isAdding)
      put(a1, output + outputStride, isAdding)
      put(a2, output + 2 * outputStride, isAdding)
      put(a3, output + 3 * outputStride, isAdding)
      put(a4, output + 4 * outputStride, isAdding)
      put(a5, output + 5 * outputStride, isAdding)
      put(a6, output + 6 * outputStride, isAdding)
      put(a7, output + 7 * outputStride, isAdding)
      left.pointer += 8 * left.stride
      output += 8 * outputStride
    }
  }

  @inline(__always)
  private func put(_ sum: Vector, _ output: UnsafeMutablePointer<Float>, _ isAdding: Bool) {
    storeVector(isAdding ? loadVector(output) + sum : sum, to: output)
  }

  @inline(__always)
  private func put(
    _ first: Vector, _ second: Vector, _ output: UnsafeMutablePointer<Float>, _ isAdding: Bool
  ) {
    put(first, output, isAdding)
    put(second, output + 8, isAdding)
  }

  @inline(__always)
  private func put(
    _ first: Vector, _ second: Vector, _ third: Vector, _ output: UnsafeMutablePointer<Float>,
    _ isAdding: Bool
  ) {
    put(first, second, output, isAdding)
    put(third, output + 16, isAdding)
  }
}
