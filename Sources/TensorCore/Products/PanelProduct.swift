import HostResources

/// A matrix product whose right factor is copied into panels, a few at a time.
///
/// Each thread copies, and widens, the panels it multiplies by, so they stay in its second-level
/// cache while the left factor streams through. Sums do not depend on the number of threads.
struct PanelProduct {
  let left: MatrixPointer
  let right: PanelSource
  /// Added to the right factor's panels.
  let update: LowRankUpdate?
  let output: UnsafeMutablePointer<Float>
  let outputStride: Int
  let rows: Int
  let isAdding: Bool
  let bias: UnsafePointer<Float>?

  /// The steps after which sums leave the registers, so that a panel stays in the first-level
  /// cache.
  private static let stepsAtOnce = 384
  /// The rows that meet all panels before the next ones.
  private static func rowsAtOnce(_ form: TileForm) -> Int { 16 * form.rows }
  /// The distance between the copies of two rows, in floats: more than the steps, so that rows do
  /// not map to the same sets of the first-level cache.
  private static func copyStride(steps: Int) -> Int { steps + 16 }

  /// Whether rows of the left factor are copied first when this many panels use them.
  ///
  /// A tile of 12 rows reads from as many locations. If these are a multiple of 4 KB apart, as with
  /// 1,024 columns, an eight-way cache holds at most eight of them. A copy takes a tenth of a
  /// panel's time. In a transposed factor each step is in another line, and with long strides in
  /// another page.
  ///
  /// - Parameter transposedStride: nil unless the left factor is transposed
  private static func copiesRows(
    _ form: TileForm, panels: Int, stride: Int, transposedStride: Int?
  ) -> Bool {
    guard form == .wide else { return false }
    return transposedStride.map { $0 > longestStride } ?? (panels >= 4 && stride % 1_024 == 0)
  }

  /// The longest stride of a transposed left factor that is read in place.
  private static let longestStride = 512

  /// Whether this is faster than OpenBLAS, which copies both factors.
  ///
  /// It needs enough rows to amortize transposing the right factor. With long strides in the left
  /// one, and registers of eight floats, OpenBLAS is as fast.
  static func suits(
    _ left: MatrixPointer, _ right: RightFactor, rows: Int, columns: Int, inner: Int,
    _ form: TileForm
  ) -> Bool {
    suits(
      rows: rows, columns: columns, inner: inner, isTransposed: right.isTransposed,
      leftStride: left.isTransposed ? left.stride : nil, form)
  }

  /// Decides the same for factors that do not exist yet.
  ///
  /// - Parameter leftStride: nil unless the left factor is transposed
  static func suits(
    rows: Int, columns: Int, inner: Int, isTransposed: Bool, leftStride: Int?,
    _ form: TileForm = .native
  ) -> Bool {
    columns % 8 == 0 && inner > 0 && rows >= (isTransposed ? 16 : 6)
      && (form == .wide || leftStride ?? 0 <= longestStride)
  }

  /// Returns the memory of each thread's copies of panels.
  static func workingMemory(
    rows: Int, columns: Int, inner: Int, leftStride: Int?, form: TileForm = .native
  ) -> WorkingMemory {
    let steps = steps(inner: inner)
    let panelCount = form.panelCount(columns)
    let shares = shares(
      panelCount, rows: rows, inner: inner, columns: columns, form, steps: steps)
    let widest = (panelCount + shares.panels - 1) / shares.panels
    return .ofThreads(
      shares.panels * shares.rows,
      [steps * min(columns, widest * form.columns + 8)]
        + (copiesRows(form, panels: widest, stride: inner, transposedStride: leftStride)
          ? [rowsAtOnce(form) * copyStride(steps: steps)] : []))
  }

  /// Returns the number of rows of the right factor that are copied together.
  private static func steps(inner: Int) -> Int {
    let parts = (inner + stepsAtOnce - 1) / stepsAtOnce
    // Whole 8 x 8 blocks are faster to transpose.
    return ((inner + parts - 1) / parts + 7) / 8 * 8
  }

  private var form: TileForm { right.form }

  func run() {
    let steps = Self.steps(inner: right.rows)
    let panelCount = form.panelCount(right.columns)
    let units = (rows + form.rows - 1) / form.rows
    let shares = Self.shares(
      panelCount, rows: rows, inner: right.rows, columns: right.columns, form, steps: steps)
    let copiesRows = Self.copiesRows(
      form, panels: (panelCount + shares.panels - 1) / shares.panels,
      stride: left.stride, transposedStride: left.isTransposed ? left.stride : nil)
    parallelItems(shares.panels * shares.rows) { item in
      let (share, part) = item.quotientAndRemainder(dividingBy: shares.rows)
      let first = units * part / shares.rows * form.rows
      multiply(
        panelCount * share / shares.panels..<panelCount * (share + 1) / shares.panels,
        first..<min(rows, units * (part + 1) / shares.rows * form.rows), steps: steps,
        copiesRows: copiesRows)
    }
  }

  /// Returns the numbers of shares into which panels and tiles of rows are split.
  private static func shares(
    _ panelCount: Int, rows: Int, inner: Int, columns: Int, _ form: TileForm, steps: Int
  ) -> (panels: Int, rows: Int) {
    let units = (rows + form.rows - 1) / form.rows
    let fitting = max(1, form.panelFloats / (steps * form.columns))
    let threads = Threads.count
    let panels = (panelCount + fitting - 1) / fitting
    // Fewer than 30,000 multiplications stay on one thread.
    let most = max(1, rows * inner * columns / 30_000)
    if panelCount < threads || rows >= (panelCount <= 16 ? 256 : 2048) * threads {
      // With so many rows, copying panels for each thread costs little. If rows are short, threads
      // that write parts of them would compete for cache lines.
      return (panels, min(threads, most, max(1, units / 8)))
    }
    return (min(panelCount, most, (panels + threads - 1) / threads * threads), 1)
  }

  private func multiply(
    _ panels: Range<Int>, _ rows: Range<Int>, steps: Int, copiesRows: Bool
  ) {
    let ranges = panels.map { form.panel($0, of: right.columns) }
    guard let first = ranges.first?.lowerBound, let last = ranges.last?.upperBound else { return }
    let worker = TileWorker(form)
    let packed = inPlace == nil ? HostMemory(count: steps * (last - first)) : nil
    let copied =
      copiesRows && packed != nil
      ? HostMemory(count: Self.rowsAtOnce(form) * Self.copyStride(steps: steps)) : nil
    for start in stride(from: 0, to: right.rows, by: steps) {
      let count = min(steps, right.rows - start)
      if let packed {
        for columns in ranges {
          let panel = packed.pointer + (columns.lowerBound - first) * count
          right.copy(columns, rows: start..<start + count, into: panel)
          update?.add(
            columns, of: right.columns, start..<start + count, of: right.rows, into: panel, worker)
        }
      }
      for row in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.rowsAtOnce(form)) {
        let rowCount = min(Self.rowsAtOnce(form), rows.upperBound - row)
        let left = factor(row..<row + rowCount, start..<start + count, copied, steps: steps)
        for columns in ranges {
          let panel =
            packed.map { UnsafePointer($0.pointer) + (columns.lowerBound - first) * count }
            ?? inPlace.map { $0 + right.row(start) + columns.lowerBound }
          guard let panel else { continue }
          worker.multiply(
            left.pointer, leftStride: left.isTransposed ? 1 : left.stride,
            leftStep: left.isTransposed ? left.stride : 1, rows: rowCount, inner: count, panel,
            panelStride: packed == nil ? right.row(1) - right.row(0) : columns.count,
            width: columns.count, into: output + row * outputStride + columns.lowerBound,
            outputStride: outputStride, isAdding: isAdding || start > 0,
            initial: start == 0 ? bias.map { $0 + columns.lowerBound } : nil)
        }
      }
    }
  }

  /// Returns some rows and steps of the left factor, in place or copied.
  private func factor(
    _ rows: Range<Int>, _ inner: Range<Int>, _ copied: HostMemory?, steps: Int
  ) -> MatrixPointer {
    let (rowStride, step) = left.isTransposed ? (1, left.stride) : (left.stride, 1)
    let first = left.pointer + rows.lowerBound * rowStride + inner.lowerBound * step
    guard let copied else {
      return MatrixPointer(first, stride: left.stride, isTransposed: left.isTransposed)
    }
    let copyStride = Self.copyStride(steps: steps)
    if left.isTransposed {
      transposeMatrix(
        first, stride: step, rows: inner.count, columns: rows.count, into: copied.pointer,
        targetStride: copyStride)
      return MatrixPointer(copied.pointer, stride: copyStride)
    }
    for row in 0..<rows.count {
      (copied.pointer + row * copyStride).update(from: first + row * rowStride, count: inner.count)
    }
    return MatrixPointer(copied.pointer, stride: copyStride)
  }

  /// The right factor if it is read in place.
  private var inPlace: UnsafePointer<Float>? {
    guard case .full(let values) = right.values,
      Self.readsInPlace(rows: rows, isTransposed: right.columnStride != 1, isUpdated: update != nil)
    else { return nil }
    return values
  }

  /// Whether a single-precision right factor has so few rows to multiply that it is not copied.
  static func readsInPlace(rows: Int, isTransposed: Bool, isUpdated: Bool) -> Bool {
    rows < 64 && !isTransposed && !isUpdated
  }
}
