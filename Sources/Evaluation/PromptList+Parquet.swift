import Files
import Parquet

extension PromptList {
  /// Reads the rows of a parquet file that have a prompt; only texts and numbers are read.
  static func rows(_ file: RegularFile, _ path: String) throws -> [Entry] {
    let file = try ParquetFile(file: file)
    let single = file.columns.filter { !$0.isRepeated }
    guard let name = Self.column(among: single.map(\.name)),
      let prompt = single.first(where: { $0.name == name })
    else { throw PromptListError.noPrompt(path: path, present: single.map(\.name)) }
    try file.requireReadable(prompt)
    let others = single.filter { $0.index != prompt.index && $0.isPlain }
    for column in others { try file.requireReadable(column) }
    let cursor = try RowCursor(file, columns: [prompt] + others)
    var entries: [Entry] = []
    for group in file.rowGroups.indices {
      try cursor.open(rowGroup: group)
      while try cursor.advance() {
        guard let text = try cursor[0].text() else { continue }
        var metadata = JSON.Object()
        metadata[prompt.name] = .string(text)
        for column in cursor.columns.dropFirst() {
          metadata[column.column.name] = try column.json()
        }
        entries.append(Entry(text: text, metadata: metadata))
      }
    }
    return entries
  }
}

extension LeafColumn {
  /// Whether it contains text, rather than image bytes or numbers.
  fileprivate var isPlain: Bool {
    isText ? logicalType == .string || logicalType == .enumeration : holdsNumbers
  }
}

extension ColumnCursor {
  /// Nil if JSON has no such value.
  fileprivate func json() throws -> JSON? {
    if column.isText { return try text().map { .string($0) } }
    if column.logicalType == nil, column.isInteger {
      return try integer().map { .integer(Int($0)) }
    }
    if column.physicalType == .boolean { return try truth().map { .bool($0) } }
    return try number().flatMap { $0.isFinite ? .number($0) : nil }
  }
}
