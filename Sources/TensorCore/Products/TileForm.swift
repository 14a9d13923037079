import COpenBLAS

/// The sizes of tiles, determined by the registers that hold their sums.
///
/// Both forms run on every processor, and give the same bits: each sum adds the same products in
/// the same order.
public enum TileForm: CaseIterable, Sendable {
  /// For 16 registers of eight floats.
  case narrow
  /// For 32 registers of 16 floats.
  case wide

  /// The form for the processor that the program was built for.
  public static var native: TileForm { spo_has_wide_registers() == 1 ? .wide : .narrow }

  /// The columns of a panel of a right factor.
  var columns: Int { self == .narrow ? 16 : 32 }
  /// The rows of a tile of so many columns.
  var rows: Int { self == .narrow ? 6 : 12 }
  /// The columns of scores that attention computes at once.
  var attentionColumns: Int { self == .narrow ? 24 : 48 }

  /// The floats of the panels that stay in the second-level cache, which is a megabyte or more on
  /// processors with wide registers.
  var panelFloats: Int { self == .narrow ? 1 << 16 : 1 << 17 }

  /// The rows of the tallest tiles of a panel of 8, 16, 24 and more columns.
  func tallestRows(columns: Int) -> Int {
    switch (self, columns) {
    case (_, 8): 8
    case (.narrow, 16): 6
    case (.narrow, _): 4
    case (.wide, 16...32): 12
    case (.wide, _): 8
    }
  }

  /// The numbers in the largest tile.
  var largestTile: Int { self == .narrow ? 6 * 16 : 12 * 32 }

  // MARK: Panels

  /// The number of panels into which columns, a multiple of 8, are split; the last one is widened
  /// rather than leaving one of 8.
  ///
  /// A tile of 8 columns takes almost as long as one of 16.
  func panelCount(_ count: Int) -> Int {
    let whole = count / columns
    return whole > 0 && count - whole * columns <= 8 ? whole : (count + columns - 1) / columns
  }

  /// The columns of a panel.
  func panel(_ index: Int, of count: Int) -> Range<Int> {
    let end = index == panelCount(count) - 1 ? count : (index + 1) * columns
    return index * columns..<end
  }
}

extension TileForm {
  /// Computes tiles of the tallest kind, or the lowest, of four rows.
  func multiply(_ product: TileProduct, _ column: TileColumn, columns: Int, isTall: Bool) {
    switch (columns, isTall) {
    case (8, true): product.multiply8x8(column)
    case (8, false): product.multiply4x8(column)
    case (16, true): self == .narrow ? product.multiply6x16(column) : product.multiply12x16(column)
    case (16, false): product.multiply4x16(column)
    case (24, true): self == .narrow ? product.multiply4x24(column) : product.multiply12x24(column)
    case (24, false): product.multiply4x24(column)
    case (32, true): product.multiply12x32(column)
    case (32, false): product.multiply4x32(column)
    case (40, true): product.multiply8x40(column)
    case (40, false): product.multiply4x40(column)
    case (48, true): product.multiply8x48(column)
    case (48, false): product.multiply4x48(column)
    default: preconditionFailure("a panel of \(columns) columns")
    }
  }
}

extension TileProduct {
  @inline(never)
  fileprivate func multiply8x8(_ column: TileColumn) { multiply(column, halves: Rows4<Eight>.self) }

  @inline(never)
  fileprivate func multiply4x8(_ column: TileColumn) { multiply(column, halves: Rows2<Eight>.self) }

  @inline(never)
  fileprivate func multiply6x16(_ column: TileColumn) {
    multiply(column, halves: Rows3<Beside<Eight, Eight>>.self)
  }

  @inline(never)
  fileprivate func multiply4x16(_ column: TileColumn) {
    multiply(column, halves: Rows2<Beside<Eight, Eight>>.self)
  }

  @inline(never)
  fileprivate func multiply12x16(_ column: TileColumn) {
    multiply(column, halves: Rows6<Sixteen>.self)
  }

  @inline(never)
  fileprivate func multiply4x24(_ column: TileColumn) {
    multiply(column, halves: Rows2<Beside<Eight, Beside<Eight, Eight>>>.self)
  }

  @inline(never)
  fileprivate func multiply12x24(_ column: TileColumn) {
    multiply(column, halves: Rows6<Beside<Sixteen, Eight>>.self)
  }

  @inline(never)
  fileprivate func multiply12x32(_ column: TileColumn) {
    multiply(column, halves: Rows6<Beside<Sixteen, Sixteen>>.self)
  }

  @inline(never)
  fileprivate func multiply4x32(_ column: TileColumn) {
    multiply(column, halves: Rows2<Beside<Sixteen, Sixteen>>.self)
  }

  @inline(never)
  fileprivate func multiply8x40(_ column: TileColumn) {
    multiply(column, halves: Rows4<Beside<Sixteen, Beside<Sixteen, Eight>>>.self)
  }

  @inline(never)
  fileprivate func multiply4x40(_ column: TileColumn) {
    multiply(column, halves: Rows2<Beside<Sixteen, Beside<Sixteen, Eight>>>.self)
  }

  @inline(never)
  fileprivate func multiply8x48(_ column: TileColumn) {
    multiply(column, halves: Rows4<Beside<Sixteen, Beside<Sixteen, Sixteen>>>.self)
  }

  @inline(never)
  fileprivate func multiply4x48(_ column: TileColumn) {
    multiply(column, halves: Rows2<Beside<Sixteen, Beside<Sixteen, Sixteen>>>.self)
  }
}
