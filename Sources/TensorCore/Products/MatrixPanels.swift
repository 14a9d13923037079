import COpenBLAS
import HostResources

/// A row-major matrix `[rows, columns]` split into panels of 16 or 32 columns.
///
/// Thus a tile reads its right factor contiguously. The last panel is as narrow as its columns
/// allow, a multiple of 8, and zero-padded.
struct MatrixPanels {
  let source: PanelSource
  let storage: HostMemory

  init(_ source: PanelSource) {
    self.source = source
    storage = HostMemory(count: Self.count(rows: source.rows, columns: source.columns))
    let first = storage.pointer
    parallelBlocks(source.panelCount, work: source.form.columns * source.rows) { panels in
      for panel in panels {
        source.copy(
          source.columns(panel..<panel + 1), rows: 0..<source.rows,
          into: first + panel * source.form.columns * source.rows)
      }
    }
  }

  /// The floats of all panels.
  static func count(rows: Int, columns: Int) -> Int { rows * PanelSource.padded(columns) }

  func pointer(_ panel: Int) -> UnsafeMutablePointer<Float> {
    storage.pointer + panel * source.form.columns * source.rows
  }
}

/// The location of a panel's source numbers, and their precision.
enum PanelValues {
  case full(UnsafePointer<Float>)
  case half(HalfMemory)
}

/// A matrix `[rows, columns]` in memory, from which panels are made.
struct PanelSource {
  let form: TileForm
  let values: PanelValues
  let rows: Int
  let columns: Int
  let columnStride: Int
  /// The number of rows that are adjacent in memory if columns are not.
  let neighbours: Int
  /// Returns the offset of a row's first column; the others follow `columnStride` apart.
  let row: (Int) -> Int

  init(
    _ form: TileForm, _ values: PanelValues, rows: Int, columns: Int, columnStride: Int,
    neighbours: Int = 1, row: @escaping (Int) -> Int
  ) {
    self.form = form
    self.values = values
    self.rows = rows
    self.columns = columns
    self.columnStride = columnStride
    self.neighbours = neighbours
    self.row = row
  }

  var panelCount: Int { (columns + form.columns - 1) / form.columns }
  var paddedColumns: Int { Self.padded(columns) }

  /// Rounds up to whole vectors.
  static func padded(_ columns: Int) -> Int { (columns + 7) / 8 * 8 }

  func width(_ panel: Int) -> Int { columns(panel..<panel + 1).count }

  /// The padded columns of neighbouring panels.
  func columns(_ panels: Range<Int>) -> Range<Int> {
    let end = min(paddedColumns, panels.upperBound * form.columns)
    return panels.lowerBound * form.columns..<end
  }

  /// Writes some rows of some padded columns: `[rows, columns]`.
  func copy(_ columns: Range<Int>, rows: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let width = columns.count
    let used = min(columns.upperBound, self.columns) - columns.lowerBound
    if columnStride != 1 {
      transpose(columns.lowerBound..<columns.lowerBound + used, rows, into: target, width: width)
    } else {
      switch values {
      case .full(let values):
        copy(values + columns.lowerBound, rows, into: target, width: width) { row, line in
          line.update(from: row, count: used)
        }
      case .half(let storage):
        let values = UnsafePointer(storage.pointer) + columns.lowerBound
        switch storage.format {
        case .binary16:
          copy(values, rows, into: target, width: width) { row, line in
            for i in 0..<used { line[i] = widenedBinary16(row[i]) }
          }
        case .bfloat16:
          copy(values, rows, into: target, width: width) { row, line in
            for i in 0..<used { line[i] = widenedBfloat16(row[i]) }
          }
        }
      }
    }
    guard used < width else { return }
    for line in 0..<rows.count {
      (target + line * width + used).update(repeating: 0, count: width - used)
    }
  }

  /// Calls `body` with the source and destination of each row.
  ///
  /// Rows are too far apart for the hardware prefetcher, so they are prefetched explicitly.
  @inline(__always)
  private func copy<Number>(
    _ values: UnsafePointer<Number>, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>,
    width: Int, _ body: (UnsafePointer<Number>, UnsafeMutablePointer<Float>) -> Void
  ) {
    let rowsAhead = 32
    let numbersOfLine = 64 / MemoryLayout<Number>.stride
    for (line, index) in rows.enumerated() {
      if line + rowsAhead < rows.count {
        let ahead = values + row(index + rowsAhead)
        for number in Swift.stride(from: 0, to: width, by: numbersOfLine) {
          spo_prefetch(ahead + number)
        }
      }
      body(values + row(index), target + line * width)
    }
  }

  /// Widens adjacent half-precision numbers, and prefetches others that lie `ahead`.
  @inline(__always)
  private func copy(
    _ first: Int, count: Int, into target: UnsafeMutablePointer<Float>, ahead: Int
  ) {
    guard case .half(let storage) = values else { return }
    let source = UnsafePointer(storage.pointer) + first
    let next = UnsafePointer(storage.pointer) + ahead
    for number in stride(from: 0, to: count, by: 32) { spo_prefetch(next + number) }
    switch storage.format {
    case .binary16: for i in 0..<count { target[i] = widenedBinary16(source[i]) }
    case .bfloat16: for i in 0..<count { target[i] = widenedBfloat16(source[i]) }
    }
  }

  /// The floats into which half-precision numbers are widened before they are transposed.
  static func widenedCount(columns: Int, rows: Int, neighbours: Int) -> Int {
    columns * min(neighbours, rows)
  }

  /// The same for numbers that are adjacent within a column.
  private func transpose(
    _ columns: Range<Int>, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>, width: Int
  ) {
    let run = min(neighbours, rows.count)
    var wide: HostMemory?
    if case .half = values {
      wide = HostMemory(
        count: Self.widenedCount(
          columns: columns.count, rows: rows.count, neighbours: neighbours))
    }
    var index = rows.lowerBound
    while index < rows.upperBound {
      let count = min(neighbours - index % neighbours, rows.upperBound - index)
      let first = row(index) + columns.lowerBound * columnStride
      let target = target + (index - rows.lowerBound) * width
      if let wide {
        for column in 0..<columns.count {
          let ahead = min(column + 6, columns.count - 1)
          copy(
            first + column * columnStride, count: count, into: wide.pointer + column * run,
            ahead: first + ahead * columnStride)
        }
        transposeMatrix(
          wide.pointer, stride: run, rows: columns.count, columns: count, into: target,
          targetStride: width)
      } else if case .full(let values) = values {
        transposeMatrix(
          values + first, stride: columnStride, rows: columns.count, columns: count, into: target,
          targetStride: width)
      }
      index += count
    }
  }
}
