/// Reads little-endian numbers and byte strings from memory, never beyond its end.
package struct ByteReader {
  /// The bytes end before the requested ones.
  package struct EndOfBytes: Error {}

  package let bytes: [UInt8]
  package private(set) var position = 0

  package init(_ bytes: [UInt8], from position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  package mutating func take(_ count: Int) throws(EndOfBytes) -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - position else { throw EndOfBytes() }
    defer { position += count }
    return bytes[position..<position + count]
  }

  package mutating func take<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(EndOfBytes)
    -> Integer
  {
    let part = try take(MemoryLayout<Integer>.size)
    return part.withUnsafeBytes { Integer(littleEndian: $0.loadUnaligned(as: Integer.self)) }
  }

  /// Reads the bytes up to and including the next newline, which is dropped.
  package mutating func takeLine() throws(EndOfBytes) -> ArraySlice<UInt8> {
    guard let newline = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) else {
      throw EndOfBytes()
    }
    let line = try take(newline - position)
    position += 1
    return line
  }
}
