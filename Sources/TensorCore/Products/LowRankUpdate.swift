import HostResources

/// A low-rank matrix added to another: `left^T right`.
public struct LowRankUpdate {
  /// The left factor, `[rank, inner]`, with inner the number of rows of the other matrix.
  public let left: UnsafePointer<Float>
  /// The right factor, `[rank, columns]`.
  public let right: UnsafePointer<Float>
  public let rank: Int

  public init(left: UnsafePointer<Float>, right: UnsafePointer<Float>, rank: Int) {
    self.left = left
    self.right = right
    self.rank = rank
  }

  /// Whether merging it into a factor is less work than a separate product.
  static func isCheaperMerged(rows: Int, columns: Int, inner: Int) -> Bool {
    inner * columns < rows * (inner + columns)
  }

  /// The floats of the products with the left factor.
  static func sumCount(rows: Int, rank: Int) -> Int { rows * rank }

  /// Adds `scale * a left^T right` to the output.
  func add(
    productWith a: MatrixPointer, into output: UnsafeMutablePointer<Float>, outputStride: Int,
    rows: Int, columns: Int, inner: Int, scale: Float, form: TileForm
  ) {
    let sums = HostMemory(count: Self.sumCount(rows: rows, rank: rank))
    multiplyMatrices(
      a, RightFactor(left, stride: inner, isTransposed: true), into: sums.pointer,
      outputStride: rank, rows: rows, columns: rank, inner: inner, scale: scale,
      form: form)
    multiplyMatrices(
      MatrixPointer(sums.pointer, stride: rank), RightFactor(right, stride: columns),
      into: output, outputStride: outputStride, rows: rows, columns: columns, inner: rank, keep: 1,
      form: form)
  }

  /// Adds it to a block of rows and columns, `[rows, columns]`, a multiple of 8.
  func add(
    _ columns: Range<Int>, of columnCount: Int, _ rows: Range<Int>, of rowCount: Int,
    into panel: UnsafeMutablePointer<Float>, _ worker: TileWorker
  ) {
    worker.multiply(
      left + rows.lowerBound, leftStride: 1, leftStep: rowCount, rows: rows.count,
      inner: rank, right + columns.lowerBound, panelStride: columnCount,
      width: columns.count, into: panel, outputStride: columns.count, isAdding: true)
  }
}
