/// Reads Thrift's compact protocol from bytes that may be damaged.
///
/// Counts and lengths are checked against the remaining bytes before anything is allocated; nesting
/// is limited to 64. Source: the Thrift compact protocol specification.
struct ThriftReader {
  enum WireType: UInt8 {
    case boolTrue = 1
    case boolFalse = 2
    case int8 = 3
    case int16 = 4
    case int32 = 5
    case int64 = 6
    case double = 7
    case binary = 8
    case list = 9
    case set = 10
    case map = 11
    case structure = 12
    case uuid = 13
  }

  struct Field {
    let id: Int
    let type: WireType
  }

  static let maximumDepth = 64

  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0
  /// Whether the last fault was a premature end of the bytes.
  private(set) var endedEarly = false
  private var depth = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private var remaining: Int { bytes.count - position }

  // MARK: - Structures

  /// Calls `body` for each field of a structure; a body that does not read a field must skip it.
  mutating func readStruct(
    _ body: (inout ThriftReader, Field) throws(Fault) -> Void
  ) throws(Fault) {
    try enter()
    var id = 0
    while true {
      let header = try readByte()
      guard header != 0 else { break }
      let type = try wireType(header & 0x0f)
      let step = Int(header >> 4)
      id = step == 0 ? Int(try readSigned(Int16.self)) : id + step
      try body(&self, Field(id: id, type: type))
    }
    depth -= 1
  }

  mutating func readStruct(
    _ field: Field, _ body: (inout ThriftReader, Field) throws(Fault) -> Void
  ) throws(Fault) {
    try expect(.structure, field)
    try readStruct(body)
  }

  /// Whether a field is a list of elements of this type, or an empty one.
  func isList(_ field: Field, of element: WireType) -> Bool {
    guard field.type == .list, remaining > 0 else { return false }
    let header = bytes[position]
    return header >> 4 == 0 || header & 0x0f == element.rawValue
  }

  /// Calls `body` for each element of a list whose elements must be of type `element`.
  mutating func readList(
    _ field: Field, of element: WireType, _ body: (inout ThriftReader) throws(Fault) -> Void
  ) throws(Fault) {
    try expect(.list, field)
    let (type, count) = try readListHeader()
    guard count == 0 || type == element else {
      throw .malformed("field \(field.id) lists elements of another type than its format says")
    }
    for _ in 0..<count { try body(&self) }
  }

  // MARK: - Values

  mutating func readInteger<Value: FixedWidthInteger>(
    _ field: Field, as type: Value.Type = Value.self
  ) throws(Fault) -> Value {
    switch field.type {
    case .int8:
      return try narrow(Int64(Int8(bitPattern: try readByte())), field)
    case .int16, .int32, .int64:
      return try narrow(try readSigned(Int64.self), field)
    default:
      throw .malformed("field \(field.id) is not an integer")
    }
  }

  mutating func readBool(_ field: Field) throws(Fault) -> Bool {
    switch field.type {
    case .boolTrue: return true
    case .boolFalse: return false
    default: throw .malformed("field \(field.id) is not a boolean")
    }
  }

  mutating func readText(_ field: Field) throws(Fault) -> String {
    try expect(.binary, field)
    return try readText()
  }

  /// Invalid UTF-8 is repaired: names and metadata are only displayed and compared.
  mutating func readText() throws(Fault) -> String {
    let range = try readBinaryRange()
    return String(decoding: bytes[range], as: UTF8.self)
  }

  // MARK: - Skipping

  mutating func skip(_ field: Field) throws(Fault) {
    switch field.type {
    case .boolTrue, .boolFalse: break
    default: try skipElement(field.type)
    }
  }

  private mutating func skipElement(_ type: WireType) throws(Fault) {
    switch type {
    // In a list a boolean takes a byte; in a structure it is in the field's header.
    case .boolTrue, .boolFalse, .int8: _ = try readByte()
    case .int16, .int32, .int64: _ = try readUnsigned()
    case .double: try advance(8)
    case .uuid: try advance(16)
    case .binary: _ = try readBinaryRange()
    case .structure:
      try readStruct { (reader, field) throws(Fault) in try reader.skip(field) }
    case .list, .set:
      try enter()
      let (element, count) = try readListHeader()
      if let element { for _ in 0..<count { try skipElement(element) } }
      depth -= 1
    case .map:
      try enter()
      let count = try readCount(bytesEach: 2)
      if count > 0 {
        let types = try readByte()
        let key = try wireType(types >> 4)
        let value = try wireType(types & 0x0f)
        for _ in 0..<count {
          try skipElement(key)
          try skipElement(value)
        }
      }
      depth -= 1
    }
  }

  // MARK: - Bytes

  private mutating func enter() throws(Fault) {
    depth += 1
    guard depth <= Self.maximumDepth else {
      throw .malformed("the metadata is nested deeper than \(Self.maximumDepth) levels")
    }
  }

  private func expect(_ type: WireType, _ field: Field) throws(Fault) {
    guard field.type == type else {
      throw .malformed("field \(field.id) is of type \(field.type), not \(type)")
    }
  }

  private func wireType(_ code: UInt8) throws(Fault) -> WireType {
    guard let type = WireType(rawValue: code) else {
      throw .malformed("the metadata has a field of the unknown type \(code)")
    }
    return type
  }

  private func narrow<Value: FixedWidthInteger>(
    _ wide: Int64, _ field: Field
  ) throws(Fault) -> Value {
    guard let value = Value(exactly: wide) else {
      throw .malformed("field \(field.id) is \(wide), out of range")
    }
    return value
  }

  private mutating func advance(_ count: Int) throws(Fault) {
    guard count <= remaining else { throw early() }
    position += count
  }

  private mutating func early() -> Fault {
    endedEarly = true
    return .malformed("the metadata ends in the middle of a value")
  }

  private mutating func readByte() throws(Fault) -> UInt8 {
    guard position < bytes.count else { throw early() }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func readUnsigned() throws(Fault) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      let byte = try readByte()
      guard shift < 63 || byte <= 1 else { break }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw .malformed("an integer of the metadata has more than 64 bits")
  }

  private mutating func readSigned<Value: FixedWidthInteger>(
    _ type: Value.Type
  ) throws(Fault) -> Value {
    let folded = try readUnsigned()
    let wide = Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    guard let value = Value(exactly: wide) else {
      throw .malformed("the integer \(wide) of the metadata is out of range")
    }
    return value
  }

  private mutating func readBinaryRange() throws(Fault) -> Range<Int> {
    let count = try readCount(bytesEach: 1)
    defer { position += count }
    return position..<position + count
  }

  /// Reads a count of elements that take at least `bytesEach` bytes each.
  private mutating func readCount(bytesEach: Int) throws(Fault) -> Int {
    let count = try readUnsigned()
    guard count <= UInt64(remaining / bytesEach) else {
      endedEarly = true
      throw .malformed("a length of \(count) in the metadata, but only \(remaining) bytes are left")
    }
    return Int(count)
  }

  private mutating func readListHeader() throws(Fault) -> (WireType?, Int) {
    let header = try readByte()
    let short = Int(header >> 4)
    if short == 0 { return (nil, 0) }
    let type = try wireType(header & 0x0f)
    guard short < 15 else { return (type, try readCount(bytesEach: 1)) }
    guard short <= remaining else { throw early() }
    return (type, short)
  }
}
