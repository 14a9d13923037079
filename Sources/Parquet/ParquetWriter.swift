import Files

/// Writes a parquet file of flat columns, one row group after another.
///
/// Pages are of version 1, PLAIN, uncompressed or snappy, with a CRC each. The file appears under
/// its name when `commit` returns.
public final class ParquetWriter {
  /// The type of a column's values.
  public enum ColumnType: Sendable, Equatable {
    case boolean
    case int32
    case int64
    case double
    /// Text in UTF-8.
    case string
    /// Bytes of any kind, such as encoded images.
    case bytes
    case timestamp(TimeUnit)
  }

  public struct Field: Sendable {
    public let name: String
    public let type: ColumnType
    public let isOptional: Bool

    public init(_ name: String, _ type: ColumnType, isOptional: Bool = true) {
      self.name = name
      self.type = type
      self.isOptional = isOptional
    }
  }

  /// The values of one column in one row group; nil is null.
  public enum Column: Sendable {
    case booleans([Bool?])
    case int32s([Int32?])
    /// For `int64` and `timestamp`.
    case int64s([Int64?])
    case doubles([Double?])
    case strings([String?])
    case bytes([[UInt8]?])
  }

  public enum Compression: Sendable {
    case none
    case snappy
  }

  /// A page is closed when its values reach this size.
  private static let pageByteCount = 1 << 20

  private let output: AtomicFile
  private let fields: [Field]
  private let compression: Compression
  private let keyValues: [KeyValue]
  private var groups: [WrittenGroup] = []

  public init(
    path: String, fields: [Field], compression: Compression = .snappy,
    metadata: [KeyValue] = []
  ) throws(ParquetError) {
    precondition(!fields.isEmpty, "a parquet file needs at least one column")
    self.fields = fields
    self.compression = compression
    keyValues = metadata
    do throws(FileError) {
      output = try AtomicFile(path: path)
      try output.append(Array("PAR1".utf8))
    } catch {
      throw .file(error)
    }
  }

  /// Appends a row group: one column per field, in the fields' order, all of the same length.
  public func append(_ columns: [Column]) throws(ParquetError) {
    precondition(columns.count == fields.count, "\(columns.count) columns, \(fields.count) fields")
    let rowCount = columns.first?.count ?? 0
    guard rowCount > 0 else { return }
    var chunks: [WrittenChunk] = []
    for (field, column) in zip(fields, columns) {
      precondition(column.count == rowCount, "\(field.name): \(column.count) of \(rowCount) rows")
      precondition(
        column.fits(field.type), "\(field.name): the values do not fit \(field.type)")
      precondition(
        field.isOptional || !(0..<rowCount).contains(where: column.isNull),
        "\(field.name): null in a required column")
      do throws(FileError) {
        chunks.append(try write(column, field))
      } catch {
        throw .file(error)
      }
    }
    groups.append(WrittenGroup(rowCount: rowCount, chunks: chunks))
  }

  /// Writes the footer and makes the file durable under its name.
  public func commit() throws(ParquetError) {
    var footer = ThriftWriter()
    writeFooter(&footer)
    let count = UInt32(footer.bytes.count)
    do throws(FileError) {
      try output.append(footer.bytes)
      try output.append(
        (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + Array("PAR1".utf8))
      try output.commit()
    } catch {
      throw .file(error)
    }
  }

  // MARK: - Pages

  private func write(_ column: Column, _ field: Field) throws(FileError) -> WrittenChunk {
    var chunk = WrittenChunk(valueCount: column.count, offset: output.byteCount)
    var first = 0
    while first < column.count {
      var values = PlainValues()
      var next = first
      while next < column.count, values.byteCount < Self.pageByteCount {
        values.append(column, next)
        next += 1
      }
      let levels = field.isOptional ? definitionLevels(of: column, first..<next) : []
      try writePage(levels + values.finished(), valueCount: next - first, &chunk)
      first = next
    }
    chunk.byteCount = output.byteCount - chunk.offset
    return chunk
  }

  private func writePage(
    _ page: [UInt8], valueCount: Int, _ chunk: inout WrittenChunk
  ) throws(FileError) {
    let packed = compression == .snappy ? page.withUnsafeBytes(Snappy.packed) : page
    let checksum = packed.withUnsafeBytes { ByteBuffer.checksum($0) }
    var header = ThriftWriter()
    header.structure {
      $0.field(1, Int32(0))  // a data page of version 1
      $0.field(2, Int32(page.count))
      $0.field(3, Int32(packed.count))
      $0.field(4, Int32(bitPattern: checksum))
      $0.field(5) {
        $0.field(1, Int32(valueCount))
        $0.field(2, Encoding.plain.rawValue)
        $0.field(3, Encoding.runLength.rawValue)
        $0.field(4, Encoding.runLength.rawValue)
      }
    }
    try output.append(header.bytes)
    try output.append(packed)
    chunk.uncompressedByteCount += header.bytes.count + page.count
  }

  /// Returns one bit per row: runs of equal bits, preceded by the length of the whole in 4 bytes.
  private func definitionLevels(of column: Column, _ rows: Range<Int>) -> [UInt8] {
    var runs: [UInt8] = []
    var start = rows.lowerBound
    while start < rows.upperBound {
      let isNull = column.isNull(start)
      var end = start + 1
      while end < rows.upperBound, column.isNull(end) == isNull { end += 1 }
      var header = UInt64(end - start) << 1
      while header >= 0x80 {
        runs.append(UInt8(header & 0x7f) | 0x80)
        header >>= 7
      }
      runs.append(contentsOf: [UInt8(header), isNull ? 0 : 1])
      start = end
    }
    return (0..<4).map { UInt8(truncatingIfNeeded: runs.count >> (8 * $0)) } + runs
  }

  // MARK: - Footer

  private func writeFooter(_ footer: inout ThriftWriter) {
    footer.structure {
      $0.field(1, Int32(2))
      $0.field(2, list: [nil] + fields) { (writer, field: Field?) in
        if let field { writeElement(field, &writer) } else { writeRoot(&writer) }
      }
      $0.field(3, Int64(groups.reduce(0) { $0 + $1.rowCount }))
      $0.field(4, list: groups) { writeGroup($1, &$0) }
      if !keyValues.isEmpty {
        $0.field(5, list: keyValues) { (writer, pair) in
          writer.field(1, pair.key)
          writer.field(2, pair.value)
        }
      }
      $0.field(6, "spo")
    }
  }

  private func writeRoot(_ writer: inout ThriftWriter) {
    writer.field(4, "schema")
    writer.field(5, Int32(fields.count))
  }

  private func writeElement(_ field: Field, _ writer: inout ThriftWriter) {
    writer.field(1, field.type.physicalType.rawValue)
    writer.field(3, Int32(field.isOptional ? 1 : 0))
    writer.field(4, field.name)
    switch field.type {
    case .string:
      writer.field(6, Int32(0))
      writer.field(10) { $0.field(1) { _ in } }
    case .timestamp(let unit):
      if let converted = unit.convertedType { writer.field(6, converted) }
      writer.field(10) {
        $0.field(8) {
          $0.field(1, true)
          $0.field(2) { $0.field(unit.thriftField) { _ in } }
        }
      }
    case .boolean, .int32, .int64, .double, .bytes: break
    }
  }

  private func writeGroup(_ group: WrittenGroup, _ writer: inout ThriftWriter) {
    writer.field(1, list: Array(zip(fields, group.chunks))) { (writer, element) in
      let (field, chunk) = element
      writer.field(2, Int64(0))
      writer.field(3) {
        $0.field(1, field.type.physicalType.rawValue)
        $0.field(2, list: [Encoding.plain.rawValue, Encoding.runLength.rawValue])
        $0.field(3, list: [field.name])
        $0.field(4, Int32(compression == .snappy ? 1 : 0))
        $0.field(5, Int64(chunk.valueCount))
        $0.field(6, Int64(chunk.uncompressedByteCount))
        $0.field(7, Int64(chunk.byteCount))
        $0.field(9, Int64(chunk.offset))
      }
    }
    writer.field(2, Int64(group.chunks.reduce(0) { $0 + $1.uncompressedByteCount }))
    writer.field(3, Int64(group.rowCount))
    writer.field(5, Int64(group.chunks.first?.offset ?? 0))
    writer.field(6, Int64(group.chunks.reduce(0) { $0 + $1.byteCount }))
  }
}

private struct WrittenGroup {
  let rowCount: Int
  let chunks: [WrittenChunk]
}

private struct WrittenChunk {
  let valueCount: Int
  let offset: Int
  var byteCount = 0
  var uncompressedByteCount = 0
}

extension ParquetWriter.ColumnType {
  fileprivate var physicalType: PhysicalType {
    switch self {
    case .boolean: .boolean
    case .int32: .int32
    case .int64, .timestamp: .int64
    case .double: .double
    case .string, .bytes: .byteArray
    }
  }
}

extension TimeUnit {
  fileprivate var thriftField: Int {
    switch self {
    case .milliseconds: 1
    case .microseconds: 2
    case .nanoseconds: 3
    }
  }

  fileprivate var convertedType: Int32? {
    switch self {
    case .milliseconds: 9
    case .microseconds: 10
    case .nanoseconds: nil
    }
  }
}

extension ParquetWriter.Column {
  fileprivate var count: Int {
    switch self {
    case .booleans(let values): values.count
    case .int32s(let values): values.count
    case .int64s(let values): values.count
    case .doubles(let values): values.count
    case .strings(let values): values.count
    case .bytes(let values): values.count
    }
  }

  fileprivate func isNull(_ row: Int) -> Bool {
    switch self {
    case .booleans(let values): values[row] == nil
    case .int32s(let values): values[row] == nil
    case .int64s(let values): values[row] == nil
    case .doubles(let values): values[row] == nil
    case .strings(let values): values[row] == nil
    case .bytes(let values): values[row] == nil
    }
  }

  fileprivate func fits(_ type: ParquetWriter.ColumnType) -> Bool {
    switch (self, type) {
    case (.booleans, .boolean), (.int32s, .int32), (.int64s, .int64), (.int64s, .timestamp),
      (.doubles, .double), (.strings, .string), (.bytes, .bytes):
      true
    default: false
    }
  }
}

/// The values of a page in the PLAIN encoding, without nulls.
private struct PlainValues {
  private var bytes: [UInt8] = []
  private var truths: [Bool] = []

  var byteCount: Int { bytes.count + truths.count / 8 }

  mutating func append(_ column: ParquetWriter.Column, _ row: Int) {
    switch column {
    case .booleans(let values): if let value = values[row] { truths.append(value) }
    case .int32s(let values): if let value = values[row] { append(word: value) }
    case .int64s(let values): if let value = values[row] { append(word: value) }
    case .doubles(let values): if let value = values[row] { append(word: value.bitPattern) }
    case .strings(let values):
      if let value = values[row] {
        append(word: UInt32(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
      }
    case .bytes(let values):
      if let value = values[row] {
        append(word: UInt32(value.count))
        bytes.append(contentsOf: value)
      }
    }
  }

  /// The page's bytes: booleans are packed, the lowest bit first.
  func finished() -> [UInt8] {
    guard !truths.isEmpty else { return bytes }
    var packed = [UInt8](repeating: 0, count: (truths.count + 7) / 8)
    for (index, truth) in truths.enumerated() where truth {
      packed[index >> 3] |= 1 << UInt8(index & 7)
    }
    return packed
  }

  private mutating func append<Word: FixedWidthInteger>(word: Word) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
