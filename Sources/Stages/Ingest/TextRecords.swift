import Files

/// Records in a text file: one JSON object a line, a JSON array of them, or CSV with a header.
///
/// Images are paths of files, relative to the text file's folder, or base64, with or without
/// `data:...,` before it; in JSON also `{bytes, path}`. A list of prompts has captions only; in JSON
/// a caption may stand alone, as a string.
final class TextRecords: RecordFile {
  enum Form { case jsonLines, json, csv }

  let path: String
  let columnNames: [String]
  let blockRowCounts: [Int]
  let canBePromptList = true
  private let names: ColumnNames
  private let form: Form
  private let file: RegularFile
  private let blocks: [TextBlocks.Block]
  /// All records of a `json` file, which is parsed as a whole.
  private let elements: [JSON]
  /// The header of a `csv` file.
  private let header: [String]
  private var lastBlock: (index: Int, rows: [Result<TextRow, RowFault>])?

  init(path: String, form: Form, names: ColumnNames) throws {
    let file = try RegularFile(path: path)
    try file.requireNoMistake(expected: "a file of records", isText: true)
    let elements = form == .json ? try Self.elements(path) : []
    let blocks = form == .json ? [] : try TextBlocks.blocks(of: file, hasQuotes: form == .csv)
    header = form == .csv ? try Self.header(of: file, blocks) : []
    switch form {
    case .csv:
      columnNames = header
      // The first record is the header.
      blockRowCounts = blocks.enumerated().map { $1.rowCount - ($0 == 0 ? 1 : 0) }
    case .json:
      columnNames = try RecordKeys.union(of: elements, path: path, names)
      blockRowCounts = stride(from: 0, to: elements.count, by: TextBlocks.rowLimit).map {
        min(TextBlocks.rowLimit, elements.count - $0)
      }
    case .jsonLines:
      columnNames = try RecordKeys.union(of: file, blocks, names)
      blockRowCounts = blocks.map(\.rowCount)
    }
    self.path = path
    self.form = form
    self.names = names
    self.file = file
    self.elements = elements
    self.blocks = blocks
  }

  func hasColumn(_ field: RecordField) -> Bool { columnNames.contains(names.name(of: field)) }

  /// What a record holds is for each record to say.
  func requireReadableColumns() {}

  func forEachRow(
    inBlock block: Int, _ body: (Result<any RowValues, RowFault>) throws -> Void
  ) throws {
    for row in try rows(ofBlock: block) { try body(row.map { $0 }) }
  }

  func imageBytes(block: Int, row: Int, column: String) throws -> [UInt8] {
    guard blockRowCounts.indices.contains(block) else { throw SourceError.changed(path: path) }
    let rows = try rows(ofBlock: block)
    guard rows.indices.contains(row), case .success(let record) = rows[row],
      let image = record.image(column: column)
    else { throw SourceError.changed(path: path) }
    switch image {
    case .bytes(let bytes): return bytes
    case .file(let path): return try RegularFile(path: path).readAll()
    }
  }

  // MARK: - Parsing

  private func rows(ofBlock block: Int) throws -> [Result<TextRow, RowFault>] {
    if let lastBlock, lastBlock.index == block { return lastBlock.rows }
    let rows = try parse(block)
    lastBlock = (block, rows)
    return rows
  }

  private func parse(_ index: Int) throws -> [Result<TextRow, RowFault>] {
    if form == .json {
      let start = index * TextBlocks.rowLimit
      return elements[start..<start + blockRowCounts[index]].map(row)
    }
    let block = blocks[index]
    let bytes = try file.read(at: block.offset, count: block.byteCount)
    let records = TextBlocks.records(in: bytes, hasQuotes: form == .csv)
    guard records.count == block.rowCount else { throw SourceError.changed(path: path) }
    if form == .csv { return records.dropFirst(index == 0 ? 1 : 0).map(csvRow) }
    return records.map { record in
      do {
        return row(try JSON(parsing: Array(record), source: "record"))
      } catch {
        return .failure(RowFault(nil, "unreadable-record", "\(error)"))
      }
    }
  }

  private func row(_ value: JSON) -> Result<TextRow, RowFault> {
    if let object = value.object {
      return .success(TextRow(object: object, names: names, folder: folder(of: path)))
    }
    if let caption = value.string {
      var object = JSON.Object()
      object[names.name(of: .caption)] = .string(caption)
      return .success(TextRow(object: object, names: names, folder: folder(of: path)))
    }
    return .failure(RowFault(nil, "unreadable-record", "\(value.kind), not an object"))
  }

  private func csvRow(_ record: ArraySlice<UInt8>) -> Result<TextRow, RowFault> {
    guard let fields = csvFields(record) else {
      return .failure(
        RowFault(nil, "unreadable-record", "its quotes are out of place, or it is not UTF-8"))
    }
    guard fields.count == header.count else {
      return .failure(
        RowFault(
          nil, "unreadable-record", "\(fields.count) fields where the header has \(header.count)"))
    }
    var object = JSON.Object()
    // CSV cannot tell an empty text from none.
    for (name, field) in zip(header, fields) where !field.isEmpty { object[name] = .string(field) }
    return .success(TextRow(object: object, names: names, folder: folder(of: path)))
  }

  private static func elements(_ path: String) throws -> [JSON] {
    let json = try JSON(contentsOf: path)
    guard let elements = json.array else {
      throw SourceError.malformed(
        path: path, reason: "\(json.kind), where a list of records is needed")
    }
    return elements
  }

  private static func header(of file: RegularFile, _ blocks: [TextBlocks.Block]) throws -> [String]
  {
    guard let block = blocks.first else { return [] }
    let bytes = try file.read(at: block.offset, count: block.byteCount)
    return try TextBlocks.records(in: bytes, hasQuotes: true).first.map {
      try header($0, file.path)
    } ?? []
  }

  private static func header(_ record: ArraySlice<UInt8>, _ path: String) throws -> [String] {
    let hasMark = record.starts(with: [0xef, 0xbb, 0xbf])
    guard let header = csvFields(hasMark ? record.dropFirst(3) : record),
      Set(header).count == header.count
    else {
      throw SourceError.malformed(
        path: path, reason: "the header cannot be read, or names a column twice")
    }
    return header
  }
}
