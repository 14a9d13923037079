/// One thread's means to multiply a matrix with a panel of another, tile by tile.
final class TileWorker {
  /// Takes tiles that reach beyond the output.
  private let overhang: UnsafeMutablePointer<Float>
  private let zeros: UnsafeMutablePointer<Float>

  init() {
    overhang = .allocate(capacity: TileProduct.rows * TileProduct.columns)
    zeros = .allocate(capacity: 24)
    zeros.initialize(repeating: 0, count: 24)
  }

  deinit {
    overhang.deallocate()
    zeros.deallocate()
  }

  /// The sums of `product` for `rows` rows and a panel of 8, 16 or 24 columns, of which the first `columns`
  /// are wanted.
  ///
  /// The rows of the left factor begin `leftStride` apart. The sums start with the numbers at
  /// `initial`, or with zeros.
  func multiply(
    _ product: TileProduct, _ left: UnsafePointer<Float>, leftStride: Int, rows: Int,
    _ panel: UnsafePointer<Float>, width: Int, columns: Int? = nil,
    into target: UnsafeMutablePointer<Float>, outputStride: Int, isAdding: Bool,
    initial: UnsafePointer<Float>? = nil
  ) {
    let stripe = Stripe(
      product: product, panel: panel, width: width, columns: columns ?? width,
      leftStride: leftStride, outputStride: outputStride, initial: initial ?? UnsafePointer(zeros),
      isAdding: isAdding)
    let tall = tallTileRows(rows, width: width)
    multiply(stripe, left, height: stripe.tallest, rows: tall, into: target)
    multiply(
      stripe, left + tall * leftStride, height: 4, rows: rows - tall,
      into: target + tall * outputStride)
  }

  /// `output[rows, width] (+)= left[rows, inner] panel[inner, width]`, with 8, 16 or 24 columns.
  ///
  /// The columns of the left factor lie `leftStep` apart.
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

  /// What all tiles that lie below one another have in common.
  private struct Stripe {
    let product: TileProduct
    let panel: UnsafePointer<Float>
    let width: Int
    let columns: Int
    let leftStride: Int
    let outputStride: Int
    let initial: UnsafePointer<Float>
    let isAdding: Bool

    var tallest: Int {
      switch width {
      case 24: 4
      case 16: TileProduct.rows
      default: 8
      }
    }
  }

  /// The rows for the tallest tiles: of 16 columns, others are left to tiles of four rows.
  private func tallTileRows(_ rows: Int, width: Int) -> Int {
    guard width == TileProduct.columns else { return rows }
    // Two tiles of four rows are less work than one of six and another for one or two.
    return switch rows % TileProduct.rows {
    case 0, 5: rows
    case 1, 2: max(0, rows / TileProduct.rows - 1) * TileProduct.rows
    default: rows / TileProduct.rows * TileProduct.rows
    }
  }

  private func multiply(
    _ stripe: Stripe, _ left: UnsafePointer<Float>, height: Int, rows: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let whole = stripe.columns == stripe.width ? rows / height * height : 0
    if whole > 0 {
      let left = TileRows(
        pointer: left, stride: stripe.leftStride, half: height / 2 * stripe.leftStride)
      multiply(
        stripe, left, height: height, tileCount: whole / height, into: target,
        outputStride: stripe.outputStride, isAdding: stripe.isAdding)
    }
    var row = whole
    while row < rows {
      // Fewer rows than half a tile has are taken one by one.
      let count = rows - row < height / 2 ? 1 : min(height, rows - row)
      multiplyPart(
        stripe, left + row * stripe.leftStride, height: height, rows: count,
        into: target + row * stripe.outputStride)
      row += count
    }
  }

  /// Computes a whole tile, of which only some rows and columns are in the output.
  ///
  /// Where rows are missing in the left factor, others are read twice: the tile's second half begins
  /// earlier.
  private func multiplyPart(
    _ stripe: Stripe, _ left: UnsafePointer<Float>, height: Int, rows: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let half = height / 2
    let secondHalf = max(0, rows - half)
    let left = TileRows(
      pointer: left, stride: rows == 1 ? 0 : stripe.leftStride,
      half: secondHalf * stripe.leftStride)
    multiply(
      stripe, left, height: height, tileCount: 1, into: overhang, outputStride: stripe.width,
      isAdding: false)
    for row in 0..<rows {
      let sums = overhang + (row < half ? row : row - secondHalf + half) * stripe.width
      let output = target + row * stripe.outputStride
      if stripe.isAdding {
        for column in 0..<stripe.columns { output[column] += sums[column] }
      } else {
        output.update(from: sums, count: stripe.columns)
      }
    }
  }

  private func multiply(
    _ stripe: Stripe, _ left: TileRows, height: Int, tileCount: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, isAdding: Bool
  ) {
    switch (height, stripe.width) {
    case (6, 16):
      stripe.product.multiply6x16(
        left, stripe.panel, tileCount: tileCount, into: output, outputStride: outputStride,
        initial: stripe.initial, isAdding: isAdding)
    case (4, 16):
      stripe.product.multiply4x16(
        left, stripe.panel, tileCount: tileCount, into: output, outputStride: outputStride,
        initial: stripe.initial, isAdding: isAdding)
    case (4, 24):
      stripe.product.multiply4x24(
        left, stripe.panel, tileCount: tileCount, into: output, outputStride: outputStride,
        initial: stripe.initial, isAdding: isAdding)
    default:
      stripe.product.multiply8x8(
        left, stripe.panel, tileCount: tileCount, into: output, outputStride: outputStride,
        initial: stripe.initial, isAdding: isAdding)
    }
  }
}
