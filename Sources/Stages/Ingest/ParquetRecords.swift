import Files
import Parquet

/// The rows of a parquet file, in the published schema or one that `columns` maps to it.
///
/// An image column is binary, or a group `{bytes, path}` as the Hub's `Image` feature writes it.
final class ParquetRecords: RecordFile {
  private let file: ParquetFile
  /// The leaf of each field; of images that of the bytes.
  private let leaves: [RecordField: LeafColumn]
  /// The leaf beside an image's bytes that names a file.
  private let pathLeaves: [RecordField: LeafColumn]
  /// Kept for `imageBytes`, by the leaf's name.
  private var imageCursors: [String: ColumnCursor] = [:]

  let canBePromptList = false
  var path: String { file.path }
  var columnNames: [String] { file.columns.map(\.name) }
  var blockRowCounts: [Int] { file.rowGroups.map(\.rowCount) }

  init(path: String, names: ColumnNames) throws {
    let file = try ParquetFile(path: path)
    var leaves: [RecordField: LeafColumn] = [:]
    var pathLeaves: [RecordField: LeafColumn] = [:]
    for field in RecordField.allCases {
      let name = names.name(of: field)
      leaves[field] = file.column(named: name)
      if RecordField.images.contains(field) {
        leaves[field] = leaves[field] ?? file.column(named: "\(name).bytes")
        pathLeaves[field] = file.column(named: "\(name).path")
      }
    }
    self.file = file
    self.leaves = leaves
    self.pathLeaves = pathLeaves
  }

  func hasColumn(_ field: RecordField) -> Bool { leaves[field] != nil }

  func forEachRow(
    inBlock block: Int, _ body: (Result<any RowValues, RowFault>) throws -> Void
  ) throws {
    let fields = leaves.keys.sorted { $0.rawValue < $1.rawValue }
    let pathFields = pathLeaves.keys.sorted { $0.rawValue < $1.rawValue }
    let cursor = try RowCursor(
      file, columns: fields.compactMap { leaves[$0] } + pathFields.compactMap { pathLeaves[$0] },
      rowGroup: block)
    let row = ParquetRow(
      folder: folder(of: path),
      cursors: Dictionary(uniqueKeysWithValues: zip(fields, cursor.columns)),
      pathCursors: Dictionary(
        uniqueKeysWithValues: zip(pathFields, cursor.columns.dropFirst(fields.count))))
    while try cursor.advance() { try body(.success(row)) }
  }

  func imageBytes(block: Int, row: Int, column: String) throws -> [UInt8] {
    for leaf in [column, "\(column).bytes"] {
      guard let found = file.column(named: leaf) else { continue }
      let cursor = try imageCursor(found)
      try checkPlace(block, row)
      try cursor.move(toRowGroup: block, row: row)
      if let bytes = cursor.bytes { return [UInt8](bytes) }
    }
    if let leaf = file.column(named: "\(column).path") {
      let cursor = try imageCursor(leaf)
      try checkPlace(block, row)
      try cursor.move(toRowGroup: block, row: row)
      if let name = try cursor.text() {
        return try RegularFile(path: resolved(name, in: folder(of: path))).readAll()
      }
    }
    throw SourceError.changed(path: path)
  }

  private func checkPlace(_ block: Int, _ row: Int) throws(SourceError) {
    guard file.rowGroups.indices.contains(block),
      (0..<file.rowGroups[block].rowCount).contains(row)
    else { throw .changed(path: path) }
  }

  private func imageCursor(_ leaf: LeafColumn) throws -> ColumnCursor {
    if let cursor = imageCursors[leaf.name] { return cursor }
    let cursor = try ColumnCursor(file, column: leaf)
    imageCursors[leaf.name] = cursor
    return cursor
  }
}

/// The row that a set of cursors stands on.
private struct ParquetRow: RowValues {
  let folder: String
  let cursors: [RecordField: ColumnCursor]
  let pathCursors: [RecordField: ColumnCursor]

  func text(_ field: RecordField) throws -> String? {
    guard let cursor = cursors[field] else { return nil }
    switch cursor.column.physicalType {
    case .byteArray: return try row(field) { () throws(ParquetError) in try cursor.text() }
    // Times are kept as the numbers that they are, identities sometimes are numbers too.
    case .int32, .int64: return try cursor.integer().map { String($0) }
    // What no stage computes with may be of any type.
    default: return RecordField.required.contains(field) ? try cursor.text() : nil
    }
  }

  func number(_ field: RecordField) throws -> Double? {
    guard let cursor = cursors[field] else { return nil }
    if field == .rankingID || field == .userID, cursor.column.physicalType == .byteArray {
      return try row(field) { () throws(ParquetError) in try cursor.text() }.flatMap { Double($0) }
    }
    return try cursor.number()
  }

  func truth(_ field: RecordField) throws -> Bool? {
    guard let cursor = cursors[field] else { return nil }
    if cursor.column.physicalType == .boolean { return try cursor.truth() }
    return try cursor.number().map { $0 != 0 }
  }

  func image(_ field: RecordField) throws -> EncodedImage? {
    if let bytes = cursors[field]?.bytes { return .bytes([UInt8](bytes)) }
    guard let cursor = pathCursors[field],
      let name = try row(field, { () throws(ParquetError) in try cursor.text() })
    else { return nil }
    return .file(path: resolved(name, in: folder))
  }

  /// A value that is not what its column promises costs its row; other faults stop the run.
  private func row<Value>(
    _ field: RecordField, _ read: () throws(ParquetError) -> Value
  ) throws -> Value {
    do throws(ParquetError) {
      return try read()
    } catch {
      guard case .value(_, _, _, _, let reason) = error else { throw error }
      throw RowFault(field, "bad-text", reason)
    }
  }
}

/// The folder of a file, without the slash at its end.
func folder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// A path that a source names: relative ones start at the source's folder.
func resolved(_ name: String, in folder: String) -> String {
  name.hasPrefix("/") ? name : "\(folder)/\(name)"
}
