/// A source of records, read in blocks: row groups of a parquet file, some lines of a text file.
protocol RecordFile: AnyObject {
  var path: String { get }
  /// The names of what a record holds, for messages.
  var columnNames: [String] { get }
  var blockRowCounts: [Int] { get }
  /// Whether a record may lack the fields of a comparison: then it is a prompt of a list.
  var canBePromptList: Bool { get }

  func hasColumn(_ field: RecordField) -> Bool

  /// Calls `body` with each row of a block, in order; a record that cannot be parsed is a fault.
  func forEachRow(
    inBlock block: Int, _ body: (Result<any RowValues, RowFault>) throws -> Void) throws

  /// The bytes of an image that a row of a block holds or names.
  func imageBytes(block: Int, row: Int, column: String) throws -> [UInt8]
}

extension RecordFile {
  /// Whether the records are prompts alone.
  var isPromptList: Bool {
    let pairFields = RecordField.required.filter { $0 != .caption } + RecordField.images
    return canBePromptList && !pairFields.contains(where: hasColumn)
  }

  /// Whether the records hold images, or only their identities.
  var hasImages: Bool { RecordField.images.allSatisfy(hasColumn) }

  /// The number of rows before each block.
  var blockStarts: [Int] { blockRowCounts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) } }

  /// Refuses a source that lacks a column, naming it.
  func requireColumns(_ names: ColumnNames, also extra: [RecordField]) throws(SourceError) {
    var fields: [RecordField] = isPromptList ? [.caption] : RecordField.required + extra
    // A source may leave out both images, but not one.
    if RecordField.images.contains(where: hasColumn) { fields += RecordField.images }
    for field in fields where !hasColumn(field) {
      throw .missingColumn(
        path: path, column: names.name(of: field), field: field.rawValue, present: columnNames)
    }
  }
}
