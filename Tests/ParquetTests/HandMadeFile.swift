import Files
import Parquet

/// A parquet file with one row group, built byte by byte so that any part of it can lie.
struct HandMadeFile {
  /// A data page of version 1, unless the fields say otherwise.
  struct Page {
    var body: [UInt8]
    var values = 3
    var encoding: Int32 = 0
    var type: Int32 = 0
    var packedByteCount: Int?
    var unpackedByteCount: Int?
    var checksum: Int32?
    var levelEncoding: Int32 = 3
    // Version 2 only.
    var nulls: Int32 = 0
    var rows: Int32?
    var definitionByteCount: Int32 = 0
    var repetitionByteCount: Int32 = 0

    init(_ body: [UInt8], values: Int = 3, encoding: Int32 = 0) {
      self.body = body
      self.values = values
      self.encoding = encoding
    }

    static func dictionary(_ body: [UInt8], values: Int) -> Page {
      var page = Page(body, values: values)
      page.type = 2
      return page
    }

    static func version2(_ body: [UInt8], values: Int = 3) -> Page {
      var page = Page(body, values: values)
      page.type = 3
      return page
    }

    var bytes: [UInt8] {
      var writer = ThriftWriter()
      writer.structure {
        $0.field(1, type)
        $0.field(2, Int32(truncatingIfNeeded: unpackedByteCount ?? body.count))
        $0.field(3, Int32(truncatingIfNeeded: packedByteCount ?? body.count))
        if let checksum { $0.field(4, checksum) }
        switch type {
        case 0: $0.field(5) { writeDataFields(&$0) }
        case 2: $0.field(7) { writeDictionaryFields(&$0) }
        case 3: $0.field(8) { writeVersion2Fields(&$0) }
        default: break
        }
      }
      return writer.bytes + body
    }

    private func writeDataFields(_ writer: inout ThriftWriter) {
      writeDictionaryFields(&writer)
      writer.field(3, levelEncoding)
      writer.field(4, levelEncoding)
    }

    private func writeDictionaryFields(_ writer: inout ThriftWriter) {
      writer.field(1, Int32(truncatingIfNeeded: values))
      writer.field(2, encoding)
    }

    private func writeVersion2Fields(_ writer: inout ThriftWriter) {
      writer.field(1, Int32(truncatingIfNeeded: values))
      writer.field(2, nulls)
      writer.field(3, rows ?? Int32(truncatingIfNeeded: values))
      writer.field(4, encoding)
      writer.field(5, definitionByteCount)
      writer.field(6, repetitionByteCount)
    }
  }

  /// A column's field of the schema and its chunk.
  struct Column {
    var name = "c"
    var type: PhysicalType = .int32
    var typeLength: Int32?
    var repetition: Int32 = 0
    var logicalType: Int?
    /// Said in the older way, without a logical type.
    var decimal: (precision: Int32, scale: Int32)?
    var codec: Int32 = 0
    var pages: [Page] = []
    var valueCount: Int64 = 3
    var byteCount: Int64?
    var offset: Int64?
    var dictionaryOffset: Int64?
    var isEncrypted = false
  }

  var columns: [Column] = []
  var rowCount: Int64 = 3
  /// The footer's values that differ from the row group's.
  var declaredRowCount: Int64?
  var keyValues: [KeyValue] = []
  var createdBy: String?

  init(_ type: PhysicalType = .int32, _ pages: [Page] = []) {
    columns = [Column(type: type, pages: pages)]
  }

  var bytes: [UInt8] {
    var file = Array("PAR1".utf8)
    var positions: [(offset: Int, count: Int)] = []
    for column in columns {
      let pages = column.pages.flatMap(\.bytes)
      positions.append((file.count, pages.count))
      file += pages
    }
    var footer = ThriftWriter()
    footer.structure { writer in
      writer.field(1, Int32(2))
      writer.field(2, list: [nil] + columns) { (writer, column: Column?) in
        if let column {
          writeElement(column, &writer)
        } else {
          writer.field(4, "schema")
          writer.field(5, Int32(columns.count))
        }
      }
      writer.field(3, declaredRowCount ?? rowCount)
      writer.field(4, list: [0]) { (writer, _) in
        writer.field(1, list: Array(zip(columns, positions))) { writeChunk($1.0, $1.1, &$0) }
        writer.field(2, Int64(file.count))
        writer.field(3, rowCount)
      }
      writer.field(5, list: keyValues) { (writer, pair) in
        writer.field(1, pair.key)
        writer.field(2, pair.value)
      }
      if let createdBy { writer.field(6, createdBy) }
    }
    return Self.closed(file, footer: footer.bytes)
  }

  /// `start`, a footer, its length and the magic.
  static func closed(_ start: [UInt8], footer: [UInt8], length: UInt32? = nil) -> [UInt8] {
    let length = length ?? UInt32(footer.count)
    return start + footer + (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
      + Array("PAR1".utf8)
  }

  private func writeElement(_ column: Column, _ writer: inout ThriftWriter) {
    writer.field(1, column.type.rawValue)
    if let length = column.typeLength { writer.field(2, length) }
    writer.field(3, column.repetition)
    writer.field(4, column.name)
    if let decimal = column.decimal {
      writer.field(6, Int32(5))
      writer.field(7, decimal.scale)
      writer.field(8, decimal.precision)
    }
    if let type = column.logicalType { writer.field(10) { $0.field(type) { _ in } } }
  }

  private func writeChunk(
    _ column: Column, _ place: (offset: Int, count: Int), _ writer: inout ThriftWriter
  ) {
    writer.field(2, Int64(0))
    writer.field(3) {
      $0.field(1, column.type.rawValue)
      $0.field(2, list: [Int32(0)])
      $0.field(3, list: [column.name])
      $0.field(4, column.codec)
      $0.field(5, column.valueCount)
      $0.field(6, Int64(place.count))
      $0.field(7, column.byteCount ?? Int64(place.count))
      $0.field(9, column.offset ?? Int64(place.offset))
      if let offset = column.dictionaryOffset { $0.field(11, offset) }
    }
    if column.isEncrypted { writer.field(8) { $0.field(1) { _ in } } }
  }
}

/// The bytes of little-endian 32-bit integers.
func words(_ values: Int32...) -> [UInt8] {
  values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * Int32($0))) } }
}
