import HostResources

/// A matrix of low rank that is added to another: `left^T right`.
public struct LowRankUpdate {
  /// The left factor, `[rank, inner]`: its rows are as long as the other matrix has rows.
  public let left: UnsafePointer<Float>
  /// The right factor, `[rank, columns]`.
  public let right: UnsafePointer<Float>
  public let rank: Int

  public init(left: UnsafePointer<Float>, right: UnsafePointer<Float>, rank: Int) {
    self.left = left
    self.right = right
    self.rank = rank
  }

  /// Whether adding it to a factor is less work than multiplying with it on its own.
  static func isCheaperMerged(rows: Int, columns: Int, inner: Int) -> Bool {
    inner * columns < rows * (inner + columns)
  }

  /// Adds `scale * a left^T right` to the output.
  func add(
    productWith a: MatrixPointer, into output: UnsafeMutablePointer<Float>, outputStride: Int,
    rows: Int, columns: Int, inner: Int, scale: Float, form: TileForm
  ) {
    let sums = HostMemory(count: rows * rank)
    multiplyMatrices(
      a, RightFactor(left, stride: inner, isTransposed: true), into: sums.pointer,
      outputStride: rank, rows: rows, columns: rank, inner: inner, scale: scale,
      form: form)
    multiplyMatrices(
      MatrixPointer(sums.pointer, stride: rank), RightFactor(right, stride: columns),
      into: output, outputStride: outputStride, rows: rows, columns: columns, inner: rank, keep: 1,
      form: form)
  }

  /// Adds it to some rows of some columns, `[rows, columns]`, a multiple of 8.
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
