import Glibc

/// Decompresses one Snappy block whose decompressed size is known in advance.
///
/// The block begins with its unpacked size as a varint; then come elements, each with a tag byte
/// whose low two bits tell a literal (0) from copies with offsets of 1 (1), 2 (2) and 4 bytes (3).
/// The input may arrive in pieces. Source: format_description.txt of google/snappy.
struct SnappyDecoder {
  /// Three bytes are the minimum that gives 64: no block can expand more.
  static func canUnpack(_ packedCount: Int, to count: Int) -> Bool {
    count <= packedCount / 3 * 64 + 192
  }

  private let output: UnsafeMutablePointer<UInt8>
  private let count: Int
  private var written = 0
  private var literalLeft = 0

  /// `output` has room for `count` bytes and the slack of a ``ByteBuffer``.
  init(into output: UnsafeMutableRawPointer, count: Int) {
    self.output = output.assumingMemoryBound(to: UInt8.self)
    self.count = count
  }

  /// Reads the size at the beginning of the block and compares it with the expected one.
  ///
  /// Returns the number of bytes that the size occupies.
  func checkSize(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> Int {
    var size: UInt64 = 0
    for index in 0..<min(5, bytes.count) {
      size |= UInt64(bytes[index] & 0x7f) << UInt64(7 * index)
      if bytes[index] & 0x80 == 0 {
        guard size == UInt64(count) else {
          throw .malformed("snappy: the block unpacks to \(size) bytes, the page says \(count)")
        }
        return index + 1
      }
    }
    throw .malformed("snappy: the block's size has no end")
  }

  /// Decompresses elements from a chunk of the block; returns the number of bytes consumed.
  ///
  /// A few bytes remain if a tag is cut by the end of a chunk that is not the last.
  mutating func feed(_ piece: UnsafeRawBufferPointer, isLast: Bool) throws(Fault) -> Int {
    guard let start = piece.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
    var position = 0
    if literalLeft > 0 { copyLiteral(start, piece.count, &position) }
    while position < piece.count {
      let tag = start[position]
      let kind = tag & 3
      let high = Int(tag >> 2)
      let extra = kind == 0 ? (high < 60 ? 0 : high - 59) : (kind == 3 ? 4 : Int(kind))
      guard position + 1 + extra <= piece.count else {
        if isLast { throw .malformed("snappy: the block ends inside a tag") }
        return position
      }
      var number = 0
      for index in 0..<extra { number |= Int(start[position + 1 + index]) << (8 * index) }
      position += 1 + extra
      if kind == 0 {
        literalLeft = (extra == 0 ? high : number) + 1
        guard literalLeft <= count - written else { throw overrun() }
        copyLiteral(start, piece.count, &position)
      } else {
        let length = kind == 1 ? (high & 7) + 4 : high + 1
        let offset = kind == 1 ? (high >> 3) << 8 | number : number
        try copyBack(offset: offset, length: length)
      }
    }
    return position
  }

  func finish() throws(Fault) {
    guard literalLeft == 0 else { throw .malformed("snappy: the block ends inside a literal") }
    guard written == count else {
      throw .malformed("snappy: the block unpacks to \(written) bytes instead of \(count)")
    }
  }

  private func overrun() -> Fault {
    .malformed("snappy: an element goes past the block's \(count) unpacked bytes")
  }

  private mutating func copyLiteral(
    _ start: UnsafePointer<UInt8>, _ end: Int, _ position: inout Int
  ) {
    let length = min(literalLeft, end - position)
    if length <= 16, end - position >= 16 {
      // The output's slack takes what lies behind the literal; the next element overwrites it.
      store(load(start + position), output + written)
    } else {
      memcpy(output + written, start + position, length)
    }
    written += length
    position += length
    literalLeft -= length
  }

  private mutating func copyBack(offset: Int, length: Int) throws(Fault) {
    guard offset > 0, offset <= written else {
      throw .malformed("snappy: a copy from \(offset) bytes back, but only \(written) are unpacked")
    }
    guard length <= count - written else { throw overrun() }
    let target = output + written
    let source = UnsafePointer(target - offset)
    if offset >= 16 {
      // A copy has at most 64 bytes, and the slack is as long.
      var done = 0
      repeat {
        store(load(source + done), target + done)
        done += 16
      } while done < length
    } else {
      for index in 0..<length { target[index] = source[index] }
    }
    written += length
  }

  private func load(_ source: UnsafePointer<UInt8>) -> SIMD16<UInt8> {
    UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt8>.self)
  }

  private func store(_ bytes: SIMD16<UInt8>, _ target: UnsafeMutablePointer<UInt8>) {
    UnsafeMutableRawPointer(target).storeBytes(of: bytes, as: SIMD16<UInt8>.self)
  }
}
