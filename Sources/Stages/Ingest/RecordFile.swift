/// A source of records, read in blocks: row groups of a parquet file, some lines of a text file.
protocol RecordFile: AnyObject {
  var path: String { get }
  /// The names of what a record holds, for messages.
  var columnNames: [String] { get }
  var blockRowCounts: [Int] { get }
  /// Whether a record may lack the fields of a comparison: then it is a prompt of a list.
  var canBePromptList: Bool { get }

  func hasColumn(_ field: RecordField) -> Bool

  /// Refuses columns that cannot be read as what they are needed for.
  func requireReadableColumns() throws

  /// Calls `body` with each row of a block, in order; a record that cannot be parsed is a fault.
  func forEachRow(
    inBlock block: Int, _ body: (Result<any RowValues, RowFault>) throws -> Void) throws

  /// The bytes of an image that a row of a block holds or names.
  func imageBytes(block: Int, row: Int, column: String) throws -> [UInt8]
}

extension RecordFile {
  /// Whether the records are prompts alone.
  var isPromptList: Bool {
    let pairFields =
      RecordField.required.filter { $0 != .caption } + RecordField.uids + RecordField.images
    return canBePromptList && !pairFields.contains(where: hasColumn)
  }

  /// Whether the records hold images, or only their identities.
  var hasImages: Bool { RecordField.images.allSatisfy(hasColumn) }

  /// Whether the records hold the images' identities.
  var hasUIDs: Bool { RecordField.uids.contains(where: hasColumn) }

  /// The number of rows before each block.
  var blockStarts: [Int] { blockRowCounts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) } }

  /// Refuses a source that lacks a column, or whose columns cannot be read, naming the column.
  func requireColumns(_ names: ColumnNames, also extra: [RecordField]) throws {
    var fields: [RecordField] = isPromptList ? [.caption] : RecordField.required + extra
    // A source may leave out both images, but not one; and both identities, if it has the images.
    let hasAnyImage = RecordField.images.contains(where: hasColumn)
    if hasAnyImage { fields += RecordField.images }
    if hasUIDs || !hasAnyImage, !isPromptList { fields += RecordField.uids }
    for field in fields where !hasColumn(field) {
      throw SourceError.missingColumn(
        path: path, column: names.name(of: field), field: field.rawValue, present: columnNames)
    }
    try requireReadableColumns()
  }
}
