/// A row-major matrix `[rows, columns]` cut into panels of 16 columns.
///
/// So a tile reads its right factor in one stretch. The last panel is 8 or 16 wide and filled up with
/// zeros.
struct MatrixPanels {
  let source: PanelSource
  let storage: Storage

  init(_ source: PanelSource) {
    self.source = source
    storage = Storage(count: source.rows * source.paddedColumns)
    let first = storage.pointer
    parallelBlocks(source.panelCount, work: TileProduct.columns * source.rows) { panels in
      for panel in panels {
        source.copy(
          panel..<panel + 1, rows: 0..<source.rows,
          into: first + panel * TileProduct.columns * source.rows)
      }
    }
  }

  func pointer(_ panel: Int) -> UnsafeMutablePointer<Float> {
    storage.pointer + panel * TileProduct.columns * source.rows
  }
}

/// Where the numbers that panels are made of lie, and in what precision.
enum PanelValues {
  case full(UnsafePointer<Float>)
  case half(HalfStorage)
}

/// A matrix `[rows, columns]` somewhere in memory, from which panels are made.
struct PanelSource {
  let values: PanelValues
  let rows: Int
  let columns: Int
  let columnStride: Int
  /// Where a row's first column lies among the values; the others follow `columnStride` apart.
  let row: (Int) -> Int

  init(
    _ values: PanelValues, rows: Int, columns: Int, columnStride: Int, row: @escaping (Int) -> Int
  ) {
    self.values = values
    self.rows = rows
    self.columns = columns
    self.columnStride = columnStride
    self.row = row
  }

  var panelCount: Int { (columns + TileProduct.columns - 1) / TileProduct.columns }
  var paddedColumns: Int { (columns + 7) / 8 * 8 }

  func width(_ panel: Int) -> Int { width(panel..<panel + 1) }

  /// The padded columns of neighbouring panels.
  func width(_ panels: Range<Int>) -> Int {
    min(paddedColumns, panels.upperBound * TileProduct.columns)
      - panels.lowerBound * TileProduct.columns
  }

  /// Writes some rows of neighbouring panels, side by side: `[rows, width(panels)]`.
  func copy(_ panels: Range<Int>, rows: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    switch values {
    case .full(let values): copy(panels, rows, from: values, into: target) { $0 }
    case .half(let storage):
      let values = UnsafePointer(storage.pointer)
      switch storage.format {
      case .binary16: copy(panels, rows, from: values, into: target, widenedBinary16)
      case .bfloat16: copy(panels, rows, from: values, into: target, widenedBfloat16)
      }
    }
  }

  @inline(__always)
  private func copy<Element>(
    _ panels: Range<Int>, _ rows: Range<Int>, from values: UnsafePointer<Element>,
    into target: UnsafeMutablePointer<Float>, _ widen: (Element) -> Float
  ) {
    let width = width(panels)
    let start = panels.lowerBound * TileProduct.columns
    let used = min(width, columns - start)
    for (line, index) in rows.enumerated() {
      let target = target + line * width
      if columnStride == 1 {
        let source = values + row(index) + start
        for column in 0..<used { target[column] = widen(source[column]) }
      }
      (target + used).update(repeating: 0, count: width - used)
    }
    guard columnStride != 1 else { return }
    // Panel by panel: a row's columns lie far apart, but neighbouring rows share their cache lines.
    for first in stride(from: 0, to: used, by: TileProduct.columns) {
      let count = min(TileProduct.columns, used - first)
      for (line, index) in rows.enumerated() {
        let source = values + row(index) + (start + first) * columnStride
        let target = target + line * width + first
        for column in 0..<count { target[column] = widen(source[column * columnStride]) }
      }
    }
  }
}
