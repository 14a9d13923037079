/// The header of a page.
struct PageHeader {
  enum Kind {
    case dictionary
    case data
    case dataV2
    /// An index page or a kind from a later format, without values.
    case other
  }

  static let maximumByteCount = 1 << 30
  /// The limit on a header, which contains statistics, and so values; a larger one is damaged.
  static let maximumHeaderByteCount = 1 << 24

  private(set) var kind = Kind.other
  /// The size of the page after the header, as stored.
  private(set) var byteCount = 0
  private(set) var unpackedByteCount = 0
  /// The CRC-32 of those bytes, if the writer recorded it.
  private(set) var checksum: UInt32?
  /// Values, nulls included.
  private(set) var valueCount = 0
  private(set) var encoding: Int32 = -1
  // Version 1 only.
  private(set) var definitionEncoding: Int32 = -1
  private(set) var repetitionEncoding: Int32 = -1
  // Version 2 only. The numbers of nulls and rows are stored as well, but the levels decide.
  private(set) var definitionByteCount = 0
  private(set) var repetitionByteCount = 0
  private(set) var isCompressed = true

  /// Reads the header at the input's position and moves past it.
  static func read(from input: ChunkInput) throws(Fault) -> PageHeader {
    var wanted = min(input.remaining, 64)
    while true {
      _ = try input.peek(wanted)
      var reader = ThriftReader(input.buffered)
      var header = PageHeader()
      do throws(Fault) {
        try header.read(&reader)
      } catch {
        guard reader.endedEarly, input.bufferedCount < input.remaining,
          input.bufferedCount < maximumHeaderByteCount
        else { throw .malformed("page header: \(error.reason)") }
        wanted = min(input.remaining, input.bufferedCount * 2)
        continue
      }
      input.skip(reader.position)
      return header
    }
  }

  private mutating func read(_ reader: inout ThriftReader) throws(Fault) {
    var type: Int32 = -1
    var sizes = (packed: Int32(-1), unpacked: Int32(-1))
    var described: Kind?
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      case 1: type = try reader.readInteger(field)
      case 2: sizes.unpacked = try reader.readInteger(field)
      case 3: sizes.packed = try reader.readInteger(field)
      case 4: checksum = UInt32(bitPattern: try reader.readInteger(field))
      case 5:
        described = .data
        try reader.readStruct(field) { (reader, field) throws(Fault) in
          try readDataFields(&reader, field)
        }
      case 7:
        described = .dictionary
        try reader.readStruct(field) { (reader, field) throws(Fault) in
          try readDictionaryFields(&reader, field)
        }
      case 8:
        described = .dataV2
        try reader.readStruct(field) { (reader, field) throws(Fault) in
          try readVersion2Fields(&reader, field)
        }
      default: try reader.skip(field)
      }
    }
    kind = [0: .data, 2: .dictionary, 3: .dataV2][type] ?? .other
    guard type >= 0, kind == .other || described == kind else {
      throw .malformed("the page's type \(type) does not fit its fields")
    }
    byteCount = Int(sizes.packed)
    unpackedByteCount = Int(sizes.unpacked)
    try check()
  }

  private mutating func readDataFields(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field
  ) throws(Fault) {
    switch field.id {
    case 1: valueCount = Int(try reader.readInteger(field, as: Int32.self))
    case 2: encoding = try reader.readInteger(field)
    case 3: definitionEncoding = try reader.readInteger(field)
    case 4: repetitionEncoding = try reader.readInteger(field)
    default: try reader.skip(field)
    }
  }

  private mutating func readDictionaryFields(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field
  ) throws(Fault) {
    switch field.id {
    case 1: valueCount = Int(try reader.readInteger(field, as: Int32.self))
    case 2: encoding = try reader.readInteger(field)
    default: try reader.skip(field)
    }
  }

  private mutating func readVersion2Fields(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field
  ) throws(Fault) {
    switch field.id {
    case 1: valueCount = Int(try reader.readInteger(field, as: Int32.self))
    case 4: encoding = try reader.readInteger(field)
    case 5: definitionByteCount = Int(try reader.readInteger(field, as: Int32.self))
    case 6: repetitionByteCount = Int(try reader.readInteger(field, as: Int32.self))
    case 7: isCompressed = try reader.readBool(field)
    default: try reader.skip(field)
    }
  }

  private func check() throws(Fault) {
    guard (0...Self.maximumByteCount).contains(byteCount),
      (0...Self.maximumByteCount).contains(unpackedByteCount)
    else {
      throw .malformed(
        "the page claims \(byteCount) bytes, \(unpackedByteCount) unpacked, "
          + "expected 0 to \(Self.maximumByteCount)")
    }
    guard valueCount >= 0 else { throw .malformed("the page claims \(valueCount) values") }
    guard kind == .dataV2 else { return }
    guard definitionByteCount >= 0, repetitionByteCount >= 0,
      definitionByteCount + repetitionByteCount <= byteCount
    else {
      throw .malformed(
        "levels of \(repetitionByteCount) and \(definitionByteCount) bytes "
          + "in a page of \(byteCount)")
    }
  }
}

/// The encoding of values in a page.
enum Encoding: Int32 {
  case plain = 0
  case plainDictionary = 2
  case runLength = 3
  case bitPacked = 4
  case deltaBinaryPacked = 5
  case deltaLengthByteArray = 6
  case deltaByteArray = 7
  case runLengthDictionary = 8
  case byteStreamSplit = 9
}
