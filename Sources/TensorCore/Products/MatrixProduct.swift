import COpenBLAS
public import HostResources

/// A row-major matrix in memory: rows start `stride` elements apart.
public struct MatrixPointer {
  public let pointer: UnsafePointer<Float>
  public let stride: Int
  /// Whether the product uses the transpose of the stored matrix.
  public let isTransposed: Bool

  public init(_ pointer: UnsafePointer<Float>, stride: Int, isTransposed: Bool = false) {
    self.pointer = pointer
    self.stride = stride
    self.isTransposed = isTransposed
  }
}

/// The right factor of a product, in its stored precision; rows start `stride` elements apart.
public struct RightFactor {
  let values: PanelValues
  let stride: Int
  /// Whether the product uses the transpose of the stored matrix.
  let isTransposed: Bool
  /// A low-rank term added to it.
  public var update: LowRankUpdate?

  public init(_ pointer: UnsafePointer<Float>, stride: Int, isTransposed: Bool = false) {
    values = .full(pointer)
    self.stride = stride
    self.isTransposed = isTransposed
  }

  /// Half-precision numbers are widened on use.
  public init(_ storage: HalfMemory, stride: Int, isTransposed: Bool = false) {
    values = .half(storage)
    self.stride = stride
    self.isTransposed = isTransposed
  }

  func panels(_ form: TileForm, rows: Int, columns: Int) -> PanelSource {
    PanelSource(
      form, values, rows: rows, columns: columns, columnStride: isTransposed ? stride : 1,
      neighbours: isTransposed ? rows : 1
    ) { [stride, isTransposed] row in isTransposed ? row : row * stride }
  }
}

/// `output = scale * a b + keep * output + bias`, with `a` [rows, inner], `b` [inner, columns] and
/// an optional `bias` [columns], on all threads.
public func multiplyMatrices(
  _ a: MatrixPointer, _ b: RightFactor, into output: UnsafeMutablePointer<Float>,
  outputStride: Int, rows: Int, columns: Int, inner: Int, scale: Float = 1, keep: Float = 0,
  bias: UnsafePointer<Float>? = nil, form: TileForm = .native
) {
  guard rows > 0, columns > 0 else { return }
  let suitsPanels =
    scale == 1 && (keep == 0 || keep == 1)
    && PanelProduct.suits(
      rows: rows, columns: columns, inner: inner, left: (a.stride, a.isTransposed),
      isTransposed: b.isTransposed, form)
  if let update = b.update,
    !suitsPanels
      || !LowRankUpdate.isCheaperMerged(rows: rows, columns: columns, inner: inner)
  {
    var b = b
    b.update = nil
    multiplyMatrices(
      a, b, into: output, outputStride: outputStride, rows: rows, columns: columns, inner: inner,
      scale: scale, keep: keep, bias: bias, form: form)
    update.add(
      productWith: a, into: output, outputStride: outputStride, rows: rows, columns: columns,
      inner: inner, scale: scale, form: form)
    return
  }
  if suitsPanels {
    PanelProduct(
      left: a, right: b.panels(form, rows: inner, columns: columns), update: b.update,
      output: output, outputStride: outputStride, rows: rows, isAdding: keep == 1, bias: bias
    ).run()
    return
  }
  let product = LibraryProduct(
    output: output, outputStride: outputStride, rows: rows, columns: columns, inner: inner,
    scale: scale, keep: keep, bias: bias)
  switch b.values {
  case .full(let pointer):
    product.run(a, MatrixPointer(pointer, stride: b.stride, isTransposed: b.isTransposed))
  case .half(let storage):
    let widened = HostMemory(count: storage.count)
    storage.widen(0..<storage.count, into: widened.pointer)
    product.run(
      a, MatrixPointer(widened.pointer, stride: b.stride, isTransposed: b.isTransposed))
  }
}

/// A product computed by OpenBLAS, with a share for each thread.
private struct LibraryProduct {
  let output: UnsafeMutablePointer<Float>
  let outputStride: Int
  let rows: Int
  let columns: Int
  let inner: Int
  let scale: Float
  let keep: Float
  let bias: UnsafePointer<Float>?

  /// The longer side of the output is split among the threads.
  func run(_ a: MatrixPointer, _ b: MatrixPointer) {
    _ = PackingMemory.isFilled
    // OpenBLAS's tiles are not split, and fewer than 30,000 multiplications stay on one thread.
    let unit = 16
    let side = max(rows, columns)
    let workPerUnit = max(1, min(rows, columns) * inner * unit)
    parallelRanges((side + unit - 1) / unit, grain: max(1, 30_000 / workPerUnit)) { units in
      let part = units.lowerBound * unit..<min(side, units.upperBound * unit)
      if rows >= columns {
        multiply(a, b, rows: part, columns: 0..<columns)
      } else {
        multiply(a, b, rows: 0..<rows, columns: part)
      }
    }
  }

  private func multiply(
    _ a: MatrixPointer, _ b: MatrixPointer, rows: Range<Int>, columns: Range<Int>
  ) {
    let output = output + rows.lowerBound * outputStride + columns.lowerBound
    var keep = keep
    if let bias {
      let bias = bias + columns.lowerBound
      for row in 0..<rows.count {
        let line = output + row * outputStride
        if keep == 0 {
          line.update(from: bias, count: columns.count)
        } else {
          let factor = Vector(repeating: keep)
          mapVectors(line, bias, into: line, count: columns.count) {
            $1.addingProduct($0, factor)
          }
        }
      }
      keep = 1
    }
    PackingMemory.during {
      cblas_sgemm(
        CblasRowMajor, a.isTransposed ? CblasTrans : CblasNoTrans,
        b.isTransposed ? CblasTrans : CblasNoTrans, blasint(rows.count), blasint(columns.count),
        blasint(inner), scale, a.pointer + rows.lowerBound * (a.isTransposed ? 1 : a.stride),
        blasint(a.stride), b.pointer + columns.lowerBound * (b.isTransposed ? b.stride : 1),
        blasint(b.stride), keep, output, blasint(outputStride))
    }
  }
}
