import Files

/// Records in a text file: one JSON object per line, a JSON array of them, fields separated by
/// commas or tabs below a header, or one prompt per line.
///
/// Images are file paths relative to the text file's folder, or base64 with or without a
/// `data:...,` prefix; in JSON also `{bytes, path}`. In JSON a prompt may be a bare string.
final class TextRecords: RecordFile {
  enum Form {
    case jsonLines, json, csv, tsv, lines

    /// The field separator; nil if a line is one value.
    var separator: UInt8? {
      switch self {
      case .csv: UInt8(ascii: ",")
      case .tsv: UInt8(ascii: "\t")
      case .jsonLines, .json, .lines: nil
      }
    }
  }

  let path: String
  let columnNames: [String]
  let blockRowCounts: [Int]
  let plan: ColumnPlan
  private let paths: ImagePaths
  private let form: Form
  /// The field separator; nil if a line is one value.
  private let separator: UInt8?
  private let file: RegularFile
  private let blocks: [TextBlocks.Block]
  /// All records of a `json` file, which is parsed as a whole.
  private let elements: [Result<JSON, RowRejection>]
  /// The header of a `csv` or `tsv` file, and whether its fields are padded with spaces.
  private let header: [String]
  private let isSpaced: Bool
  private var lastBlock: (index: Int, rows: [Result<TextRow, RowRejection>])?

  init(path: String, form: Form, options: ReadingOptions) throws {
    let file = try RegularFile(path: path)
    try file.requireNoMistake(expected: "a file of records", isText: true)
    let form = try form == .json && Self.holdsLines(file) ? .jsonLines : form
    let elements = form == .json ? try JSONList.elements(path) : []
    let separator = try form.separator.map { try Self.separator(of: file, usual: $0) }
    let blocks = form == .json ? [] : try TextBlocks.blocks(of: file, separator: separator)
    guard !elements.isEmpty || !blocks.isEmpty else {
      throw SourceError.malformed(path: path, reason: "it contains no records")
    }
    let names = try separator.map { try Self.header(of: file, blocks, $0) } ?? []
    self.separator = separator
    header = names.map(SpelledValue.trimmed)
    isSpaced = header != names
    let columns: ColumnCounts
    switch form {
    case .csv, .tsv:
      guard Set(header).count == header.count else {
        throw SourceError.malformed(path: path, reason: "the header has a duplicate column name")
      }
      columns = ColumnCounts(header)
      // The first record is the header.
      blockRowCounts = blocks.enumerated().map { $1.rowCount - ($0 == 0 ? 1 : 0) }
    case .json:
      columns = try RecordKeys.union(
        of: elements.compactMap { try? $0.get() }, path: path, options)
      blockRowCounts = stride(from: 0, to: elements.count, by: TextBlocks.rowLimit).map {
        min(TextBlocks.rowLimit, elements.count - $0)
      }
    case .jsonLines:
      columns = try RecordKeys.union(of: file, blocks, options)
      blockRowCounts = blocks.map(\.rowCount)
    case .lines:
      columns = ColumnCounts([options.promptName])
      blockRowCounts = blocks.map(\.rowCount)
    }
    self.path = path
    self.form = form
    columnNames = columns.names
    plan = ColumnPlan(
      columns: columns.names, counts: columns.counts, options: options, mayBePrompts: true)
    paths = ImagePaths(source: path, root: options.imageRoot)
    self.file = file
    self.elements = elements
    self.blocks = blocks
  }

  func hasColumn(_ field: RecordField) -> Bool { columnNames.contains(plan.name(of: field)) }

  /// Each record has its own keys.
  func columnProblems() -> [any Error] { [] }

  func forEachRow(
    inBlock block: Int, only field: RecordField?,
    _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    let start = blockStarts[block]
    for (index, row) in try rows(ofBlock: block).enumerated() {
      try body(start + index, row.map { $0 })
    }
  }

  func image(block: Int, row: Int, column: String) throws -> EncodedImage {
    guard blockRowCounts.indices.contains(block) else { throw SourceError.changed(path: path) }
    let rows = try rows(ofBlock: block)
    guard rows.indices.contains(row), case .success(let record) = rows[row],
      let image = try record.image(column: column)
    else { throw SourceError.changed(path: path) }
    return image
  }

  // MARK: - Parsing

  private func rows(ofBlock block: Int) throws -> [Result<TextRow, RowRejection>] {
    if let lastBlock, lastBlock.index == block { return lastBlock.rows }
    let rows = try parse(block)
    lastBlock = (block, rows)
    return rows
  }

  private func parse(_ index: Int) throws -> [Result<TextRow, RowRejection>] {
    if form == .json {
      let start = index * TextBlocks.rowLimit
      return elements[start..<start + blockRowCounts[index]].map { $0.flatMap(row) }
    }
    let block = blocks[index]
    let bytes = try file.read(at: block.offset, count: block.byteCount)
    let records = TextBlocks.records(
      in: bytes, separator: separator, forcedEnds: block.forcedEnds)
    guard records.count == block.rowCount else { throw SourceError.changed(path: path) }
    if let separator {
      return records.dropFirst(index == 0 ? 1 : 0).map { fields($0, separator) }
    }
    return records.map { record in
      if form == .lines { return line(record) }
      do {
        return row(try JSON(parsing: Array(record), dialect: .python, source: path))
      } catch JSONError.syntax(_, _, let column, let problem) {
        // Row numbers start at 0 and skip blank lines; an editor counts lines.
        let line =
          block.lineCount + bytes[..<record.startIndex].count { $0 == UInt8(ascii: "\n") } + 1
        return .failure(
          RowRejection(nil, "unreadable-record", "line \(line), column \(column): \(problem)"))
      } catch {
        return .failure(RowRejection(nil, "unreadable-record", "\(error)"))
      }
    }
  }

  private func row(_ value: JSON) -> Result<TextRow, RowRejection> {
    if let object = value.object { return .success(row(object)) }
    if let prompt = value.string { return .success(row(prompt: prompt)) }
    return .failure(RowRejection(nil, "unreadable-record", "\(value.kind), not an object"))
  }

  private func row(_ object: JSON.Object) -> TextRow {
    TextRow(
      object: object, plan: plan, paths: paths,
      hasDecimalCommas: separator == UInt8(ascii: ";"))
  }

  private func row(prompt: String) -> TextRow {
    var object = JSON.Object()
    object[plan.name(of: .caption)] = .string(prompt)
    return row(object)
  }

  private func line(_ record: ArraySlice<UInt8>) -> Result<TextRow, RowRejection> {
    guard let text = String(validating: record, as: UTF8.self) else {
      return .failure(RowRejection(nil, "unreadable-record", "the line is not UTF-8"))
    }
    return .success(row(prompt: SpelledValue.trimmed(text)))
  }

  private func fields(
    _ record: ArraySlice<UInt8>, _ separator: UInt8
  ) -> Result<TextRow, RowRejection> {
    guard var fields = delimitedFields(record, separator: separator) else {
      return .failure(RowRejection(nil, "unreadable-record", Self.rejection(of: record)))
    }
    if isSpaced { fields = fields.map(SpelledValue.trimmed) }
    guard fields.count == header.count else {
      return .failure(
        RowRejection(
          nil, "unreadable-record", "\(fields.count) fields, but the header has \(header.count)"))
    }
    var object = JSON.Object()
    // Such files cannot distinguish an empty text from a missing one.
    for (name, field) in zip(header, fields) where !field.isEmpty { object[name] = .string(field) }
    return .success(row(object))
  }

  /// Whether a file contains one record per line, as many tools write with the extension of JSON.
  private static func holdsLines(_ file: RegularFile) throws -> Bool {
    let blocks = try TextBlocks.blocks(of: file, separator: nil)
    guard let block = blocks.first, block.rowCount > 1 || blocks.count > 1 else { return false }
    let bytes = try file.read(at: block.offset, count: block.byteCount)
    let first = TextBlocks.records(in: bytes, separator: nil).first ?? []
    return (try? JSON(parsing: Array(first), dialect: .python, source: file.path))?.object != nil
  }

  /// Returns why the fields of a record cannot be separated.
  private static func rejection(of record: ArraySlice<UInt8>) -> String {
    String(validating: record, as: UTF8.self) == nil
      ? "not UTF-8; convert the file, for example: iconv -f LATIN1 -t UTF-8 IN > OUT"
      : "a quotation mark is not closed, or is inside a field"
  }

  /// Returns the field separator: the usual character, unless the header has none of it but
  /// semicolons or tabs, as spreadsheets write if the comma is the decimal sign.
  private static func separator(of file: RegularFile, usual: UInt8) throws -> UInt8 {
    let header = try TextBlocks.firstRecord(of: file, separator: usual)
    func fieldCount(_ separator: UInt8) -> Int {
      delimitedFields(header, separator: separator)?.count ?? 1
    }
    guard fieldCount(usual) == 1 else { return usual }
    return ["\t", ";", ","].map { UInt8(ascii: $0) }.first { fieldCount($0) > 1 } ?? usual
  }

  private static func header(
    of file: RegularFile, _ blocks: [TextBlocks.Block], _ separator: UInt8
  ) throws -> [String] {
    guard let block = blocks.first else { return [] }
    let bytes = try file.read(at: block.offset, count: block.byteCount)
    guard let record = TextBlocks.records(in: bytes, separator: separator).first else { return [] }
    if record.dropLast(2).contains(UInt8(ascii: "\r")), !record.contains(UInt8(ascii: "\n")) {
      throw SourceError.malformed(
        path: file.path,
        reason: "its lines end in bare carriage returns; convert it, for example: "
          + "tr '\\r' '\\n' < IN > OUT")
    }
    guard let header = delimitedFields(record, separator: separator) else {
      throw SourceError.malformed(
        path: file.path, reason: "the header cannot be read: \(rejection(of: record))")
    }
    return header
  }
}
