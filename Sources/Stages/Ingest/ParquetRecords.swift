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
      if field.isProvenance, let leaf = leaves[field], Self.obstacle(leaf, field) != nil {
        leaves[field] = nil
      }
    }
    self.file = file
    self.leaves = leaves
    self.pathLeaves = pathLeaves
  }

  func hasColumn(_ field: RecordField) -> Bool { leaves[field] != nil }

  func requireReadableColumns() throws {
    for field in RecordField.allCases {
      guard let leaf = leaves[field] else { continue }
      if let expected = Self.obstacle(leaf, field) {
        throw ParquetError.typeMismatch(
          path: path, column: leaf.name, expected: expected, found: leaf.typeName)
      }
      try file.requireReadable(leaf)
    }
    for leaf in pathLeaves.values { try file.requireReadable(leaf) }
  }

  /// What a column would have to be and is not; nil if it can be read.
  private static func obstacle(_ leaf: LeafColumn, _ field: RecordField) -> String? {
    if leaf.isRepeated { return "one value a row, but a list" }
    switch field.kind {
    case .text:
      let isTime = field.isProvenance && leaf.isInteger
      return leaf.holdsTexts || isTime ? nil : "a text"
    case .number: return leaf.holdsNumbers || leaf.isText ? nil : "a number"
    case .truth: return leaf.holdsNumbers || leaf.isText ? nil : "a truth value"
    case .image: return leaf.physicalType == .byteArray ? nil : "an image"
    }
  }

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
      switch ParquetRow.image(cursor, folder: folder(of: path)) {
      case .bytes(let bytes)?: return bytes
      case .file(let path)?: return try RegularFile(path: path).readAll()
      case nil: break
      }
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
