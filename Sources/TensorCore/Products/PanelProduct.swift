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

  /// The longest stride of a transposed left factor that is read in place.
  private static let longestStride = 512

  /// Whether this is faster than OpenBLAS, which copies both factors.
  ///
  /// It needs enough rows to amortize transposing the right factor. With long strides in the left
  /// one, and registers of eight floats, OpenBLAS is as fast.
  ///
  /// - Parameter isTransposed: whether the right factor is
  static func suits(
    rows: Int, columns: Int, inner: Int, left: (stride: Int, isTransposed: Bool),
    isTransposed: Bool, _ form: TileForm
  ) -> Bool {
    columns % 8 == 0 && inner > 0 && rows >= (isTransposed ? 16 : 6)
      && (form == .wide || !left.isTransposed || left.stride <= longestStride)
  }

  /// The division of a product among threads, and the memory that each takes.
  private struct Division {
    let form: TileForm
    let rows: Int
    let columns: Int
    /// The rows of the right factor that are copied together.
    let steps: Int
    let panelCount: Int
    /// The numbers of shares into which panels and tiles of rows are split.
    let shares: (panels: Int, rows: Int)

    init(_ form: TileForm, rows: Int, columns: Int, inner: Int) {
      self.form = form
      self.rows = rows
      self.columns = columns
      let parts = (inner + stepsAtOnce - 1) / stepsAtOnce
      // Whole 8 x 8 blocks are faster to transpose.
      steps = ((inner + parts - 1) / parts + 7) / 8 * 8
      panelCount = form.panelCount(columns)
      let fitting = max(1, form.panelFloats / (steps * form.columns))
      let threads = Threads.count
      let panels = (panelCount + fitting - 1) / fitting
      // Fewer than 30,000 multiplications stay on one thread.
      let most = max(1, rows * inner * columns / 30_000)
      if panelCount < threads || rows >= (panelCount <= 16 ? 256 : 2048) * threads {
        // With so many rows, copying panels for each thread costs little. If rows are short, threads
        // that write parts of them would compete for cache lines.
        let units = (rows + form.rows - 1) / form.rows
        shares = (panels, min(threads, most, max(1, units / 8)))
      } else {
        shares = (min(panelCount, most, (panels + threads - 1) / threads * threads), 1)
      }
    }

    var itemCount: Int { shares.panels * shares.rows }

    /// Returns the columns of the panels of an item's share.
    func panels(_ item: Int) -> [Range<Int>] {
      let share = item / shares.rows
      return (panelCount * share / shares.panels..<panelCount * (share + 1) / shares.panels)
        .map { form.panel($0, of: columns) }
    }

    func rows(_ item: Int) -> Range<Int> {
      let part = item % shares.rows
      let units = (rows + form.rows - 1) / form.rows
      let first = units * part / shares.rows * form.rows
      return first..<min(rows, units * (part + 1) / shares.rows * form.rows)
    }

    /// The floats of some panels' copies.
    func packedCount(_ panels: [Range<Int>]) -> Int {
      steps * ((panels.last?.upperBound ?? 0) - (panels.first?.lowerBound ?? 0))
    }

    /// Returns the floats of the rows of the left factor that are copied; nil: they are read in place.
    ///
    /// A tile of 12 rows reads from as many locations. If these are a multiple of 4 KB apart, as
    /// with 1,024 columns, an eight-way cache holds at most eight of them. A copy takes a tenth of a
    /// panel's time. In a transposed factor each step is in another line, and with long strides in
    /// another page.
    func copiedCount(_ stride: Int, isTransposed: Bool) -> Int? {
      guard form == .wide else { return nil }
      let widest = (panelCount + shares.panels - 1) / shares.panels
      let isFar = isTransposed ? stride > longestStride : widest >= 4 && stride % 1_024 == 0
      return isFar ? rowsAtOnce(form) * copyStride(steps: steps) : nil
    }
  }

  /// Returns the memory of each thread's copies of panels.
  ///
  /// - Parameter isWidened: whether the right factor is transposed and in half precision
  static func workingMemory(
    rows: Int, columns: Int, inner: Int, left: (stride: Int, isTransposed: Bool), isWidened: Bool
  ) -> WorkingMemory {
    let division = Division(.native, rows: rows, columns: columns, inner: inner)
    let shares = (0..<division.shares.panels).map { division.panels($0 * division.shares.rows) }
    var counts = [shares.map(division.packedCount).max() ?? 0]
    if let copied = division.copiedCount(left.stride, isTransposed: left.isTransposed) {
      counts.append(copied)
    }
    if isWidened {
      counts.append(
        PanelSource.widenedCount(
          columns: shares.joined().map(\.count).max() ?? 0, rows: division.steps,
          neighbours: inner))
    }
    return .ofThreads(division.itemCount, counts)
  }

  private var form: TileForm { right.form }

  func run() {
    let division = Division(form, rows: rows, columns: right.columns, inner: right.rows)
    parallelItems(division.itemCount) { item in
      multiply(division.panels(item), division.rows(item), division)
    }
  }

  private func multiply(_ ranges: [Range<Int>], _ rows: Range<Int>, _ division: Division) {
    guard let first = ranges.first?.lowerBound else { return }
    let steps = division.steps
    let worker = TileWorker(form)
    let packed = inPlace == nil ? HostMemory(count: division.packedCount(ranges)) : nil
    let copied =
      packed == nil
      ? nil
      : division.copiedCount(left.stride, isTransposed: left.isTransposed).map(HostMemory.init)
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
