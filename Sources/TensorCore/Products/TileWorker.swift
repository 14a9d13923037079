/// Multiplies a matrix by a panel of another tile by tile, on one thread.
final class TileWorker {
  let form: TileForm
  /// Receives tiles that extend beyond the output.
  private let overhang: UnsafeMutablePointer<Float>
  private let zeros: UnsafeMutablePointer<Float>

  init(_ form: TileForm) {
    self.form = form
    overhang = .allocate(capacity: form.largestTile)
    zeros = .allocate(capacity: form.attentionColumns)
    zeros.initialize(repeating: 0, count: form.attentionColumns)
  }

  deinit {
    overhang.deallocate()
    zeros.deallocate()
  }

  /// Computes the sums of `product` for `rows` rows and a panel of 8, 16, 24 or more columns, of
  /// which the first `columns` are used.
  ///
  /// The rows of the left factor are `leftStride` apart. The sums start from the numbers at
  /// `initial`, or from zeros.
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
    let height = form.tallestRows(columns: width)
    let tall = tallTileRows(rows, height: height)
    multiply(stripe, left, height: height, rows: tall, into: target)
    multiply(
      stripe, left + tall * leftStride, height: 4, rows: rows - tall,
      into: target + tall * outputStride)
  }

  /// `output[rows, width] (+)= left[rows, inner] panel[inner, width]`, with 8, 16, 24 or more
  /// columns.
  ///
  /// The columns of the left factor are `leftStep` apart.
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

  /// The common properties of vertically adjacent tiles.
  private struct Stripe {
    let product: TileProduct
    let panel: UnsafePointer<Float>
    let width: Int
    let columns: Int
    let leftStride: Int
    let outputStride: Int
    let initial: UnsafePointer<Float>
    let isAdding: Bool
  }

  /// Returns the rows for the tallest tiles, without those for which tiles of four rows are less
  /// work.
  private func tallTileRows(_ rows: Int, height: Int) -> Int {
    let rest = rows % height
    // Two tiles of four rows are less work than one of six and another for one or two.
    if height == 6, rest == 1 || rest == 2 { return max(0, rows - rest - height) }
    return height <= (rest + 3) / 4 * 4 ? rows : rows - rest
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
      // Fewer rows than half a tile are processed one by one.
      let count = rows - row < height / 2 ? 1 : min(height, rows - row)
      multiplyPart(
        stripe, left + row * stripe.leftStride, height: height, rows: count,
        into: target + row * stripe.outputStride)
      row += count
    }
  }

  /// Computes a whole tile, of which only some rows and columns are in the output.
  ///
  /// If rows are missing in the left factor, others are read twice: the tile's second half begins
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
    let column = TileColumn(
      left: left, right: stripe.panel, count: tileCount, output: output,
      outputStride: outputStride, initial: stripe.initial, isAdding: isAdding)
    form.multiply(
      stripe.product, column, columns: stripe.width,
      isTall: height == form.tallestRows(columns: stripe.width))
  }
}
