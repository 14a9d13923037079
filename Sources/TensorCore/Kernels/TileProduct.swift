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

/// Where the six rows of a tile begin.
typealias TileRows = UnsafePointer<UnsafePointer<Float>>
typealias MutableTileRows = UnsafePointer<UnsafeMutablePointer<Float>>

extension TileProduct {
  // None of these is inlined: among other code the compiler does not keep the sums in registers.

  /// Computes a tile of six rows and 16 columns, and stores it or adds it to the output.
  ///
  /// The sums of every row start with the 16 numbers at `initial`.
  @inline(never)
  func multiply6x16(
    _ left: TileRows, _ right: UnsafePointer<Float>, into output: MutableTileRows,
    initial: UnsafePointer<Float>, isAdding: Bool = false
  ) {
    let first = loadVector(initial)
    let second = loadVector(initial + 8)
    var (a0, a1, a2, a3, a4, a5) = (first, first, first, first, first, first)
    var (b0, b1, b2, b3, b4, b5) = (second, second, second, second, second, second)
    for run in 0..<runCount {
      let offset = run * leftRunStride
      let (l0, l1, l2) = (left[0] + offset, left[1] + offset, left[2] + offset)
      let (l3, l4, l5) = (left[3] + offset, left[4] + offset, left[5] + offset)
      var r = right + run * rightRunStride
      var k = 0
      for _ in 0..<runLength {
        let u = loadVector(r)
        let v = loadVector(r + 8)
        var x = Vector(repeating: l0[k])
        a0 = a0.addingProduct(x, u)
        b0 = b0.addingProduct(x, v)
        x = Vector(repeating: l1[k])
        a1 = a1.addingProduct(x, u)
        b1 = b1.addingProduct(x, v)
        x = Vector(repeating: l2[k])
        a2 = a2.addingProduct(x, u)
        b2 = b2.addingProduct(x, v)
        x = Vector(repeating: l3[k])
        a3 = a3.addingProduct(x, u)
        b3 = b3.addingProduct(x, v)
        x = Vector(repeating: l4[k])
        a4 = a4.addingProduct(x, u)
        b4 = b4.addingProduct(x, v)
        x = Vector(repeating: l5[k])
        a5 = a5.addingProduct(x, u)
        b5 = b5.addingProduct(x, v)
        k += leftStep
        r += rightStep
      }
    }
    put(a0, b0, output[0], isAdding)
    put(a1, b1, output[1], isAdding)
    put(a2, b2, output[2], isAdding)
    put(a3, b3, output[3], isAdding)
    put(a4, b4, output[4], isAdding)
    put(a5, b5, output[5], isAdding)
  }

  /// Computes a tile of the first four rows and 16 columns, for what is left below the full tiles.
  @inline(never)
  func multiply4x16(
    _ left: TileRows, _ right: UnsafePointer<Float>, into output: MutableTileRows,
    initial: UnsafePointer<Float>, isAdding: Bool = false
  ) {
    let first = loadVector(initial)
    let second = loadVector(initial + 8)
    var (a0, a1, a2, a3) = (first, first, first, first)
    var (b0, b1, b2, b3) = (second, second, second, second)
    for run in 0..<runCount {
      let offset = run * leftRunStride
      let (l0, l1) = (left[0] + offset, left[1] + offset)
      let (l2, l3) = (left[2] + offset, left[3] + offset)
      var r = right + run * rightRunStride
      var k = 0
      for _ in 0..<runLength {
        let u = loadVector(r)
        let v = loadVector(r + 8)
        var x = Vector(repeating: l0[k])
        a0 = a0.addingProduct(x, u)
        b0 = b0.addingProduct(x, v)
        x = Vector(repeating: l1[k])
        a1 = a1.addingProduct(x, u)
        b1 = b1.addingProduct(x, v)
        x = Vector(repeating: l2[k])
        a2 = a2.addingProduct(x, u)
        b2 = b2.addingProduct(x, v)
        x = Vector(repeating: l3[k])
        a3 = a3.addingProduct(x, u)
        b3 = b3.addingProduct(x, v)
        k += leftStep
        r += rightStep
      }
    }
    put(a0, b0, output[0], isAdding)
    put(a1, b1, output[1], isAdding)
    put(a2, b2, output[2], isAdding)
    put(a3, b3, output[3], isAdding)
  }

  /// Computes a tile of six rows and 8 columns, for what is left beside the full tiles.
  @inline(never)
  func multiply6x8(
    _ left: TileRows, _ right: UnsafePointer<Float>, into output: MutableTileRows,
    initial: UnsafePointer<Float>, isAdding: Bool = false
  ) {
    let first = loadVector(initial)
    var (a0, a1, a2, a3, a4, a5) = (first, first, first, first, first, first)
    for run in 0..<runCount {
      let offset = run * leftRunStride
      let (l0, l1, l2) = (left[0] + offset, left[1] + offset, left[2] + offset)
      let (l3, l4, l5) = (left[3] + offset, left[4] + offset, left[5] + offset)
      var r = right + run * rightRunStride
      var k = 0
      for _ in 0..<runLength {
        let u = loadVector(r)
        a0 = a0.addingProduct(Vector(repeating: l0[k]), u)
        a1 = a1.addingProduct(Vector(repeating: l1[k]), u)
        a2 = a2.addingProduct(Vector(repeating: l2[k]), u)
        a3 = a3.addingProduct(Vector(repeating: l3[k]), u)
        a4 = a4.addingProduct(Vector(repeating: l4[k]), u)
        a5 = a5.addingProduct(Vector(repeating: l5[k]), u)
        k += leftStep
        r += rightStep
      }
    }
    put(a0, output[0], isAdding)
    put(a1, output[1], isAdding)
    put(a2, output[2], isAdding)
    put(a3, output[3], isAdding)
    put(a4, output[4], isAdding)
    put(a5, output[5], isAdding)
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
}

/// One thread's means to multiply a matrix with a panel of another, tile by tile.
final class TileWorker {
  private let left: UnsafeMutablePointer<UnsafePointer<Float>>
  private let output: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
  /// Takes the rows of a tile that reach beyond the output.
  private let overhang: UnsafeMutablePointer<Float>
  private let zeros: UnsafeMutablePointer<Float>

  init() {
    left = .allocate(capacity: TileProduct.rows)
    output = .allocate(capacity: TileProduct.rows)
    overhang = .allocate(capacity: TileProduct.rows * TileProduct.columns)
    zeros = .allocate(capacity: TileProduct.columns)
    zeros.initialize(repeating: 0, count: TileProduct.columns)
  }

  deinit {
    left.deallocate()
    output.deallocate()
    overhang.deallocate()
    zeros.deallocate()
  }

  /// The sums of `product` for `rows` rows and a panel of 8 or 16 columns.
  ///
  /// The rows of the left factor begin `leftStride` apart. The sums start with the numbers at
  /// `initial`, or with zeros.
  @inline(__always)
  func multiply(
    _ product: TileProduct, _ first: UnsafePointer<Float>, leftStride: Int, rows: Int,
    _ panel: UnsafePointer<Float>, width: Int, into target: UnsafeMutablePointer<Float>,
    outputStride: Int, isAdding: Bool, initial: UnsafePointer<Float>? = nil
  ) {
    let initial = initial ?? UnsafePointer(zeros)
    let isWide = width == TileProduct.columns
    var start = 0
    while start < rows {
      let missing = rows - start
      // Two tiles of four rows are less work than one of six and another for one or two.
      let isShort = isWide && (missing <= 4 || missing == 7 || missing == 8)
      let height = isShort ? 4 : TileProduct.rows
      let used = min(height, missing)
      for row in 0..<height {
        left[row] = first + (start + min(row, used - 1)) * leftStride
        output[row] =
          row < used
          ? target + (start + row) * outputStride : overhang + row * TileProduct.columns
      }
      if isShort {
        product.multiply4x16(left, panel, into: output, initial: initial, isAdding: isAdding)
      } else if isWide {
        product.multiply6x16(left, panel, into: output, initial: initial, isAdding: isAdding)
      } else {
        product.multiply6x8(left, panel, into: output, initial: initial, isAdding: isAdding)
      }
      start += used
    }
  }

  /// `output[rows, width] (+)= left[rows, inner] panel[inner, width]`, with 8 or 16 columns.
  ///
  /// The columns of the left factor lie `leftStep` apart.
  @inline(__always)
  func multiply(
    _ left: UnsafePointer<Float>, leftStride: Int, leftStep: Int = 1, rows: Int, inner: Int,
    _ panel: UnsafePointer<Float>, panelStride: Int, width: Int,
    into target: UnsafeMutablePointer<Float>, outputStride: Int, isAdding: Bool = false,
    initial: UnsafePointer<Float>? = nil
  ) {
    let product = TileProduct(
      runCount: 1, runLength: inner, leftStep: leftStep, leftRunStride: 0,
      rightStep: panelStride, rightRunStride: 0)
    multiply(
      product, left, leftStride: leftStride, rows: rows, panel, width: width, into: target,
      outputStride: outputStride, isAdding: isAdding, initial: initial)
  }
}
