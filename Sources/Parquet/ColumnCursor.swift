/// Iterates over the rows of a column that has at most one value per row; ``ListCursor`` iterates
/// over lists.
///
/// `bytes` are valid until the cursor moves. One cursor serves one thread; if reused for several
/// row groups or files with the same schema, it keeps its memory.
public final class ColumnCursor {
  public var column: LeafColumn { reader.column }
  public var rowGroup: Int { reader.rowGroup }
  var path: String { reader.file.path }
  /// The row in the row group, -1 before the first.
  public private(set) var row = -1
  /// Whether the row has no value, because it or a group that contains it is absent.
  public private(set) var isNull = true
  /// Whether the value belongs to the same row as the previous one, in a column of lists.
  private(set) var continuesRow = false

  private let reader: ColumnReader
  private let isVariable: Bool
  private let width: Int
  private var entry = 0
  /// The index of the next value in the reader's batch, and the batch's size.
  private var next = 0
  private var batchCount = 0

  public convenience init(
    _ file: ParquetFile, column: LeafColumn, rowGroup: Int = 0
  ) throws(ParquetError) {
    guard !column.isRepeated else {
      throw .typeMismatch(
        path: file.path, column: column.name, expected: "one value per row", found: "lists")
    }
    try self.init(file, entriesOf: column, rowGroup: rowGroup)
  }

  /// Iterates over the values of a column, several of which may belong to one row.
  init(
    _ file: ParquetFile, entriesOf column: LeafColumn, rowGroup: Int
  ) throws(ParquetError) {
    reader = ColumnReader(file, column)
    width = column.valueWidth
    isVariable = column.physicalType == .byteArray
    try open(rowGroup: rowGroup)
  }

  /// Moves before the first row of a row group.
  public func open(rowGroup: Int) throws(ParquetError) {
    row = -1
    isNull = true
    (entry, next, batchCount) = (0, 0, 0)
    guard !reader.file.rowGroups.isEmpty else { return }
    try reader.open(rowGroup: rowGroup)
  }

  /// Moves to the next row; false after the last.
  public func advance() throws(ParquetError) -> Bool {
    if entry == reader.entryCount {
      guard !reader.file.rowGroups.isEmpty, try reader.nextEntries() > 0 else {
        isNull = true
        return false
      }
      entry = 0
      next = 0
      batchCount = 0
    }
    continuesRow = column.isRepeated && reader.repetitionLevels[entry] > 0
    row += continuesRow ? 0 : 1
    isNull = isAbsent(entry)
    entry += 1
    guard !isNull else { return true }
    next += 1
    if next >= batchCount {
      batchCount = try reader.nextValues()
      next = 0
    }
    return true
  }

  /// Moves to a row of a row group; forwards without decompressing the pages between.
  public func move(toRowGroup rowGroup: Int, row target: Int) throws(ParquetError) {
    if rowGroup != self.rowGroup || target < row { try open(rowGroup: rowGroup) }
    precondition(
      target >= 0 && target < reader.file.rowGroups[rowGroup].rowCount, "no row \(target)")
    try pass(target - row - 1)
    if row < target { _ = try advance() }
  }

  /// Skips rows.
  private func pass(_ count: Int) throws(ParquetError) {
    guard count > 0 else { return }
    let inStep = min(count, reader.entryCount - entry)
    var values = 0
    for index in entry..<entry + inStep where !isAbsent(index) { values += 1 }
    entry += inStep
    row += inStep
    let inBatch = min(values, max(batchCount - next - 1, 0))
    next += inBatch
    if values > inBatch {
      try reader.skipPending(values - inBatch)
      (next, batchCount) = (0, 0)
    }
    guard count > inStep else { return }
    try reader.skipEntries(count - inStep)
    row += count - inStep
    (entry, next, batchCount) = (reader.entryCount, 0, 0)
  }

  private func isAbsent(_ entry: Int) -> Bool {
    column.isOptional
      && Int(reader.definitionLevels[entry]) != column.maximumDefinitionLevel
  }

  // MARK: - Values

  /// The bytes of the row's value, in the file's representation; nil for null.
  public var bytes: UnsafeRawBufferPointer? {
    if isNull { return nil }
    if isVariable { return reader.batch.views[next] }
    return UnsafeRawBufferPointer(start: reader.batch.fixed + next * width, count: width)
  }
}

/// Iterates over the rows of a row group with several columns in step.
public final class RowCursor {
  /// One cursor per column, all at the same row.
  public let columns: [ColumnCursor]
  private let file: ParquetFile

  /// Rejects columns whose number of values is not the row group's number of rows.
  public init(
    _ file: ParquetFile, columns: [LeafColumn], rowGroup: Int = 0
  ) throws(ParquetError) {
    self.file = file
    var cursors: [ColumnCursor] = []
    for column in columns {
      cursors.append(try ColumnCursor(file, column: column, rowGroup: rowGroup))
    }
    self.columns = cursors
  }

  public subscript(index: Int) -> ColumnCursor { columns[index] }

  /// Moves before the first row of a row group.
  public func open(rowGroup: Int) throws(ParquetError) {
    for column in columns { try column.open(rowGroup: rowGroup) }
  }

  /// Moves to the next row; false after the last.
  public func advance() throws(ParquetError) -> Bool {
    var moved = 0
    for column in columns where try column.advance() { moved += 1 }
    guard moved == 0 || moved == columns.count else {
      let behind = columns.first { $0.row < columns[0].row } ?? columns[0]
      throw .chunk(
        path: file.path, rowGroup: behind.rowGroup, column: behind.column.name,
        reason: "it ends before the other columns of the row group, after row \(behind.row)")
    }
    return moved > 0
  }
}
