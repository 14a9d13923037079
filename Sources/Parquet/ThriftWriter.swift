/// Writes the part of Thrift's compact protocol that footers and page headers need.
package struct ThriftWriter {
  package private(set) var bytes: [UInt8] = []
  private var lastField = 0

  package init() {}

  package mutating func field(_ id: Int, _ value: Int32) {
    header(id, .int32)
    append(signed: Int64(value))
  }

  package mutating func field(_ id: Int, _ value: Int64) {
    header(id, .int64)
    append(signed: value)
  }

  package mutating func field(_ id: Int, _ value: Bool) {
    header(id, value ? .boolTrue : .boolFalse)
  }

  package mutating func field(_ id: Int, _ value: String) {
    header(id, .binary)
    append(value)
  }

  package mutating func field(_ id: Int, _ body: (inout ThriftWriter) -> Void) {
    header(id, .structure)
    structure(body)
  }

  package mutating func field(_ id: Int, list: [Int32]) {
    header(id, .list)
    listHeader(.int32, list.count)
    for value in list { append(signed: Int64(value)) }
  }

  package mutating func field(_ id: Int, list: [String]) {
    header(id, .list)
    listHeader(.binary, list.count)
    for value in list { append(value) }
  }

  package mutating func field<Element>(
    _ id: Int, list: [Element], _ body: (inout ThriftWriter, Element) -> Void
  ) {
    header(id, .list)
    listHeader(.structure, list.count)
    for element in list { structure { body(&$0, element) } }
  }

  /// A structure without a field of its own: a list's element, or the outermost one.
  package mutating func structure(_ body: (inout ThriftWriter) -> Void) {
    let outer = lastField
    lastField = 0
    body(&self)
    bytes.append(0)
    lastField = outer
  }

  private mutating func header(_ id: Int, _ type: ThriftReader.WireType) {
    let step = id - lastField
    if (1...15).contains(step) {
      bytes.append(UInt8(step) << 4 | type.rawValue)
    } else {
      bytes.append(type.rawValue)
      append(signed: Int64(id))
    }
    lastField = id
  }

  private mutating func listHeader(_ type: ThriftReader.WireType, _ count: Int) {
    if count < 15 {
      bytes.append(UInt8(count) << 4 | type.rawValue)
    } else {
      bytes.append(0xf0 | type.rawValue)
      append(unsigned: UInt64(count))
    }
  }

  private mutating func append(_ text: String) {
    append(unsigned: UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func append(signed value: Int64) {
    append(unsigned: UInt64(bitPattern: value << 1 ^ value >> 63))
  }

  private mutating func append(unsigned value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
