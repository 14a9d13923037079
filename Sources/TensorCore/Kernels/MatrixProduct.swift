import COpenBLAS

/// A row-major matrix in memory: rows start `stride` elements apart.
public struct MatrixPointer {
  public let pointer: UnsafePointer<Float>
  public let stride: Int
  /// Whether the product uses the transpose of what lies in memory.
  public let isTransposed: Bool

  public init(_ pointer: UnsafePointer<Float>, stride: Int, isTransposed: Bool = false) {
    self.pointer = pointer
    self.stride = stride
    self.isTransposed = isTransposed
  }
}

/// `output = scale * a b + keep * output + bias`, with `a` [rows, inner], `b` [inner, columns] and
/// `bias` [columns] or none, on the calling thread.
public func multiplyMatrices(
  _ a: MatrixPointer, _ b: MatrixPointer, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, columns: Int, inner: Int, scale: Float = 1, keep: Float = 0,
  bias: UnsafePointer<Float>? = nil
) {
  guard rows > 0, columns > 0 else { return }
  let isPlain = scale == 1 && (keep == 0 || keep == 1)
  if isPlain, isFasterInTiles(a, b, rows: rows, columns: columns, inner: inner) {
    return multiplyInTiles(
      a, b, into: output, outputStride: outputStride, rows: rows, columns: columns, inner: inner,
      isAdding: keep == 1, bias: bias)
  }
  var keep = keep
  if let bias {
    for row in 0..<rows {
      let line = output + row * outputStride
      if keep == 0 {
        line.update(from: bias, count: columns)
      } else {
        let factor = Vector(repeating: keep)
        mapVectors(line, bias, into: line, count: columns) { $1.addingProduct($0, factor) }
      }
    }
    keep = 1
  }
  cblas_sgemm(
    CblasRowMajor, a.isTransposed ? CblasTrans : CblasNoTrans,
    b.isTransposed ? CblasTrans : CblasNoTrans, blasint(rows), blasint(columns), blasint(inner),
    scale, a.pointer, blasint(a.stride), b.pointer, blasint(b.stride), keep, output,
    blasint(outputStride))
}

/// Steps after which sums leave the registers, so that both factors' parts stay in cache.
private let innerAtOnce = 512
/// Rows that meet all columns before the next ones do.
private let rowsAtOnce = 16 * TileProduct.rows

/// Whether tiles are faster than OpenBLAS, which copies both factors: they are for few columns.
///
/// At least by a tenth, mostly by a fifth, and fourfold for 32 columns and steps. But tiles need
/// enough rows to make up for transposing the right factor, and no long strides in the left.
private func isFasterInTiles(
  _ a: MatrixPointer, _ b: MatrixPointer, rows: Int, columns: Int, inner: Int
) -> Bool {
  // For the products of weight gradients OpenBLAS takes up to three times as long.
  let widest = a.isTransposed && !b.isTransposed ? 320 * innerAtOnce : 64 * innerAtOnce
  return columns % 8 == 0 && inner > 0 && columns * min(inner, innerAtOnce) <= widest
    && rows >= (b.isTransposed ? 128 : TileProduct.rows)
    && (!a.isTransposed || a.stride <= 512)
}

private func multiplyInTiles(
  _ a: MatrixPointer, _ b: MatrixPointer, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, columns: Int, inner: Int, isAdding: Bool,
  bias: UnsafePointer<Float>?
) {
  let worker = TileWorker()
  let packed = b.isTransposed ? Storage(count: min(inner, innerAtOnce) * columns) : nil
  for start in stride(from: 0, to: inner, by: innerAtOnce) {
    let count = min(innerAtOnce, inner - start)
    let left = a.pointer + start * (a.isTransposed ? a.stride : 1)
    let right = b.pointer + start * (b.isTransposed ? 1 : b.stride)
    if let packed {
      let source = PanelSource(
        .full(right), rows: count, columns: columns, columnStride: b.stride
      ) { row in row }
      for panel in 0..<source.panelCount {
        source.copy(
          panel..<panel + 1, rows: 0..<count,
          into: packed.pointer + panel * TileProduct.columns * count)
      }
    }
    // All panels for a few rows at a time: their part of the left factor and of the output stays in
    // cache.
    for row in stride(from: 0, to: rows, by: rowsAtOnce) {
      for column in stride(from: 0, to: columns, by: TileProduct.columns) {
        let width = min(TileProduct.columns, columns - column)
        worker.multiply(
          left + row * (a.isTransposed ? 1 : a.stride), leftStride: a.isTransposed ? 1 : a.stride,
          leftStep: a.isTransposed ? a.stride : 1, rows: min(rowsAtOnce, rows - row),
          inner: count, packed.map { UnsafePointer($0.pointer) + column * count } ?? right + column,
          panelStride: packed == nil ? b.stride : width, width: width,
          into: output + row * outputStride + column, outputStride: outputStride,
          isAdding: isAdding || start > 0, initial: start == 0 ? bias.map { $0 + column } : nil)
      }
    }
  }
}

/// The same product on all threads: the longer side of the output is split among them.
public func multiplyMatricesInParallel(
  _ a: MatrixPointer, _ b: MatrixPointer, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, columns: Int, inner: Int, scale: Float = 1, keep: Float = 0,
  bias: UnsafePointer<Float>? = nil
) {
  _ = PackingMemory.isFilled
  profiled(
    "matrix product",
    "\(rows) x \(inner)\(a.isTransposed ? "'" : "") x \(columns)\(b.isTransposed ? "'" : "")",
    flop: 2 * rows * inner * columns
  ) {
    // Whole tiles stay together, and less than 30,000 multiplications are not handed over.
    let unit = rows >= columns ? TileProduct.rows : TileProduct.columns
    let side = max(rows, columns)
    let workPerUnit = max(1, min(rows, columns) * inner * unit)
    parallelRanges((side + unit - 1) / unit, grain: max(1, 30_000 / workPerUnit)) { units in
      let part = units.lowerBound * unit..<min(side, units.upperBound * unit)
      if rows >= columns {
        let start = part.lowerBound * (a.isTransposed ? 1 : a.stride)
        multiplyMatrices(
          MatrixPointer(a.pointer + start, stride: a.stride, isTransposed: a.isTransposed), b,
          into: output + part.lowerBound * outputStride, outputStride: outputStride,
          rows: part.count, columns: columns, inner: inner, scale: scale, keep: keep,
          bias: bias)
      } else {
        let start = part.lowerBound * (b.isTransposed ? b.stride : 1)
        multiplyMatrices(
          a, MatrixPointer(b.pointer + start, stride: b.stride, isTransposed: b.isTransposed),
          into: output + part.lowerBound, outputStride: outputStride,
          rows: rows, columns: part.count, inner: inner, scale: scale, keep: keep,
          bias: bias.map { $0 + part.lowerBound })
      }
    }
  }
}
