/// The values of one column in one row group.
public struct ColumnChunk: Sendable {
  public let codec: Codec
  /// The number of values including nulls, which exceeds the row group's rows if the column
  /// repeats.
  public let valueCount: Int
  /// The file offset of the chunk's first page.
  public let offset: Int
  /// The size of all pages with their headers, as stored.
  public let byteCount: Int
  /// The same before compression, as the writer counted it.
  public let uncompressedByteCount: Int
  /// Why the chunk cannot be read although the file is valid.
  let obstacle: String?
  /// Bytes after the chunk that may belong to it.
  var slack = 0
}

public struct RowGroup: Sendable {
  public let rowCount: Int
  /// One chunk for each leaf of the schema, in its order.
  public let chunks: [ColumnChunk]
}

/// A pair of the file's key-value metadata: text, which this reader never interprets.
public struct KeyValue: Sendable, Equatable {
  public let key: String
  public let value: String

  public init(key: String, value: String) {
    self.key = key
    self.value = value
  }
}

/// The contents of the footer.
struct FileMetadata {
  var rowCount = 0
  var leaves: [LeafColumn] = []
  var rowGroups: [RowGroup] = []
  var keyValues: [KeyValue] = []
  var createdBy = ""

  /// Parses the footer's bytes; `dataEnd` is the beginning of the footer, where pages end.
  init(_ footer: UnsafeRawBufferPointer, dataEnd: Int) throws(Fault) {
    var reader = ThriftReader(footer)
    var elements: [SchemaElement] = []
    var groups: [RowGroupDraft] = []
    var hasVersion = false
    var declaredRows: Int64 = -1
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      case 1: hasVersion = try reader.readInteger(field, as: Int32.self) >= 0
      case 2:
        try reader.readList(field, of: .structure) { (reader) throws(Fault) in
          elements.append(try SchemaElement(&reader))
        }
      case 3: declaredRows = try reader.readInteger(field)
      case 4:
        try reader.readList(field, of: .structure) { (reader) throws(Fault) in
          groups.append(try RowGroupDraft(&reader))
        }
      case 5 where reader.isList(field, of: .structure):
        try reader.readList(field, of: .structure) { (reader) throws(Fault) in
          keyValues.append(try KeyValue(&reader))
        }
      case 6 where field.type == .binary: createdBy = try reader.readText(field)
      default: try reader.skip(field)
      }
    }
    guard hasVersion, declaredRows >= 0 else {
      throw .malformed("the footer has no version or no number of rows")
    }
    leaves = try SchemaWalk.leaves(of: elements)
    rowGroups.reserveCapacity(groups.count)
    for (index, group) in groups.enumerated() {
      rowGroups.append(
        try group.checked(
          index, leaves: leaves, dataEnd: dataEnd, slack: Self.slack(createdBy: createdBy)))
    }
    rowCount = try sumOfRows(declared: declaredRows)
    try refuseOverlaps()
  }

  /// Returns the bytes by which a writer's chunks may exceed their declared size.
  ///
  /// parquet-mr before 1.2.9 omits the header of the dictionary's page.
  ///
  /// - Source: PARQUET-816, IMPALA-694
  private static func slack(createdBy: String) -> Int {
    let words = createdBy.split(separator: " ")
    guard words.first == "parquet-mr" else { return 0 }
    let version = words.count > 2 && words[1] == "version" ? words[2] : ""
    let numbers = version.prefix { $0 == "." || $0.isWholeNumber }.split(separator: ".")
      .map { Int($0) ?? .max }
    return numbers.lexicographicallyPrecedes([1, 2, 9]) ? 100 : 0
  }

  private func sumOfRows(declared: Int64) throws(Fault) -> Int {
    var sum: Int64 = 0
    for group in rowGroups {
      let (next, overflow) = sum.addingReportingOverflow(Int64(group.rowCount))
      guard !overflow else { throw .malformed("the row groups' numbers of rows overflow") }
      sum = next
    }
    // Some writers do not count: parquet-rs 0.3 writes 0. Any other number means that row groups
    // are lost.
    guard sum == declared || declared == 0 else {
      throw .malformed("the footer says \(declared) rows, its row groups have \(sum)")
    }
    return Int(sum)
  }

  private func refuseOverlaps() throws(Fault) {
    var chunks: [(offset: Int, end: Int, group: Int, column: Int)] = []
    for (group, rowGroup) in rowGroups.enumerated() {
      for (column, chunk) in rowGroup.chunks.enumerated() where chunk.byteCount > 0 {
        chunks.append((chunk.offset, chunk.offset + chunk.byteCount, group, column))
      }
    }
    chunks.sort { $0.offset < $1.offset }
    for (first, second) in zip(chunks, chunks.dropFirst()) where second.offset < first.end {
      throw .malformed(
        "row group \(second.group), column \(leaves[second.column].name) begins at byte "
          + "\(second.offset), inside row group \(first.group), column "
          + "\(leaves[first.column].name), which ends at byte \(first.end)")
    }
  }
}

extension KeyValue {
  fileprivate init(_ reader: inout ThriftReader) throws(Fault) {
    var key = ""
    var value = ""
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      // Keys that are not text are never requested.
      case 1 where field.type == .binary: key = try reader.readText(field)
      case 2 where field.type == .binary: value = try reader.readText(field)
      default: try reader.skip(field)
      }
    }
    self.init(key: key, value: value)
  }
}

/// A row group as stored in the footer, before its numbers are checked.
private struct RowGroupDraft {
  var rowCount: Int64 = -1
  var chunks: [ColumnChunkDraft] = []

  init(_ reader: inout ThriftReader) throws(Fault) {
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      case 1:
        try reader.readList(field, of: .structure) { (reader) throws(Fault) in
          chunks.append(try ColumnChunkDraft(&reader))
        }
      case 3: rowCount = try reader.readInteger(field)
      default: try reader.skip(field)
      }
    }
  }

  func checked(
    _ index: Int, leaves: [LeafColumn], dataEnd: Int, slack: Int
  ) throws(Fault) -> RowGroup {
    guard rowCount >= 0 else {
      throw .malformed("row group \(index) has \(rowCount) rows")
    }
    guard chunks.count == leaves.count else {
      throw .malformed(
        "row group \(index) has \(chunks.count) columns, the schema has \(leaves.count)")
    }
    var result: [ColumnChunk] = []
    result.reserveCapacity(chunks.count)
    for (chunk, leaf) in zip(chunks, leaves) {
      do throws(Fault) {
        var checked = try chunk.checked(leaf: leaf, dataEnd: dataEnd)
        checked.slack = min(slack, dataEnd - checked.offset - checked.byteCount)
        result.append(checked)
      } catch {
        throw .malformed("row group \(index), column \(leaf.name): \(error.reason)")
      }
    }
    return RowGroup(rowCount: Int(rowCount), chunks: result)
  }
}

/// A column chunk as stored in the footer, before its numbers are checked.
private struct ColumnChunkDraft {
  var hasMetadata = false
  var isEncrypted = false
  var liesElsewhere = false
  var physicalType: Int32 = -1
  var codec: Int32 = -1
  var valueCount: Int64 = -1
  var uncompressedByteCount: Int64 = -1
  var byteCount: Int64 = -1
  var dataPageOffset: Int64 = -1
  var dictionaryPageOffset: Int64 = 0

  init(_ reader: inout ThriftReader) throws(Fault) {
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      case 1: liesElsewhere = try !reader.readText(field).isEmpty
      case 3:
        hasMetadata = true
        try reader.readStruct(field) { (reader, field) throws(Fault) in
          try readMetadata(&reader, field)
        }
      case 8, 9:
        isEncrypted = true
        try reader.skip(field)
      default: try reader.skip(field)
      }
    }
  }

  private mutating func readMetadata(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field
  ) throws(Fault) {
    switch field.id {
    case 1: physicalType = try reader.readInteger(field)
    case 4: codec = try reader.readInteger(field)
    case 5: valueCount = try reader.readInteger(field)
    case 6: uncompressedByteCount = try reader.readInteger(field)
    case 7: byteCount = try reader.readInteger(field)
    case 9: dataPageOffset = try reader.readInteger(field)
    case 11: dictionaryPageOffset = try reader.readInteger(field)
    default: try reader.skip(field)
    }
  }

  func checked(leaf: LeafColumn, dataEnd: Int) throws(Fault) -> ColumnChunk {
    if let obstacle {
      return ColumnChunk(
        codec: .uncompressed, valueCount: 0, offset: 0, byteCount: 0, uncompressedByteCount: 0,
        obstacle: obstacle)
    }
    guard hasMetadata, codec >= 0 else { throw .malformed("its metadata is incomplete") }
    guard physicalType == leaf.physicalType.rawValue else {
      throw .malformed("the chunk is of type \(physicalType), the schema says \(leaf.physicalType)")
    }
    guard valueCount >= 0, byteCount >= 0, uncompressedByteCount >= 0 else {
      throw .malformed(
        "\(valueCount) values in \(byteCount) bytes (\(uncompressedByteCount) uncompressed)")
    }
    // A chunk without values may have no pages, and so no offsets either.
    if valueCount == 0 {
      return ColumnChunk(
        codec: Codec(codec), valueCount: 0, offset: dataEnd, byteCount: 0,
        uncompressedByteCount: 0, obstacle: nil)
    }
    // Older writers put 0 where there is no dictionary page.
    var offset = dataPageOffset
    if dictionaryPageOffset > 0, dictionaryPageOffset < dataPageOffset {
      offset = dictionaryPageOffset
    }
    guard dictionaryPageOffset >= 0, offset >= 4,
      offset <= Int64(dataEnd), dataPageOffset <= Int64(dataEnd),
      byteCount <= Int64(dataEnd) - offset
    else {
      throw .malformed(
        "its \(byteCount) bytes from byte \(offset) on are outside the data part of the "
          + "file, which ends at byte \(dataEnd)")
    }
    return ColumnChunk(
      codec: Codec(codec), valueCount: Int(valueCount), offset: Int(offset),
      byteCount: Int(byteCount), uncompressedByteCount: Int(uncompressedByteCount), obstacle: nil)
  }

  private var obstacle: String? {
    if isEncrypted { return "the column is encrypted" }
    if liesElsewhere { return "the column is in another file" }
    return nil
  }
}
