import Glibc

/// Decompresses LZ4 blocks whose decompressed size is known in advance.
///
/// A block is a list of sequences: a token with two lengths of 4 bits, which bytes of 255 prolong;
/// that many literal bytes; then, except in the last sequence, an offset of 2 bytes back to where 4 or
/// more bytes are copied from. Source: lz4_Block_format.md of lz4/lz4.
enum LZ4Decoder {
  /// Each byte that prolongs a length adds 255: no block can expand more.
  static func canUnpack(_ packedCount: Int, to count: Int) -> Bool {
    count / 255 <= packedCount
  }

  /// Unpacks one block, which must fill `output` exactly.
  static func unpack(
    _ block: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(Fault) {
    // An empty block is one token, which some writers omit.
    if output.isEmpty, block.isEmpty || block.elementsEqual([0]) { return }
    var reader = Reader(block)
    var written = 0
    while true {
      let token = try reader.byte()
      let literalCount = try reader.length(token >> 4)
      guard literalCount <= output.count - written, literalCount <= reader.remaining else {
        throw .malformed("lz4: a literal of \(literalCount) bytes goes past the block's end")
      }
      if literalCount > 0, let target = output.baseAddress {
        memcpy(target + written, try reader.take(literalCount), literalCount)
        written += literalCount
      }
      if reader.remaining == 0 { break }
      let offset = Int(try reader.byte()) | Int(try reader.byte()) << 8
      let count = try reader.length(token & 15) + 4
      guard offset > 0, offset <= written else {
        throw .malformed("lz4: a copy from \(offset) bytes back, but only \(written) are unpacked")
      }
      guard count <= output.count - written else {
        throw .malformed("lz4: a copy of \(count) bytes goes past the block's end")
      }
      if offset >= count, let start = output.baseAddress {
        memcpy(start + written, start + written - offset, count)
      } else {
        for index in written..<written + count { output[index] = output[index - offset] }
      }
      written += count
    }
    guard written == output.count else {
      throw .malformed("lz4: the block unpacks to \(written) bytes instead of \(output.count)")
    }
  }

  /// Decompresses the deprecated codec LZ4: blocks, each preceded by its decompressed and its
  /// compressed size in 4 bytes, as written by Hadoop; or else a single block.
  static func unpackFramed(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(Fault) {
    do throws(Fault) {
      try unpackFrames(bytes, into: output)
    } catch {
      try unpack(bytes, into: output)
    }
  }

  private static func unpackFrames(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(Fault) {
    var position = 0
    var written = 0
    while position < bytes.count {
      guard bytes.count - position >= 8 else { throw .malformed("lz4: a frame is truncated") }
      let unpacked = Int(size(bytes, at: position))
      let packed = Int(size(bytes, at: position + 4))
      position += 8
      guard packed <= bytes.count - position, unpacked <= output.count - written else {
        throw .malformed("lz4: a frame goes past the page's end")
      }
      try unpack(
        UnsafeRawBufferPointer(rebasing: bytes[position..<position + packed]),
        into: UnsafeMutableRawBufferPointer(rebasing: output[written..<written + unpacked]))
      position += packed
      written += unpacked
    }
    guard written == output.count else {
      throw .malformed("lz4: the frames unpack to \(written) bytes instead of \(output.count)")
    }
  }

  private static func size(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
    bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).bigEndian
  }

  private struct Reader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func byte() throws(Fault) -> UInt8 {
      guard remaining > 0 else { throw .malformed("lz4: the block ends inside a sequence") }
      defer { position += 1 }
      return bytes[position]
    }

    /// A length that continues in further bytes where its 4 bits are all set.
    mutating func length(_ bits: UInt8) throws(Fault) -> Int {
      var length = Int(bits)
      guard bits == 15 else { return length }
      var next: UInt8
      repeat {
        next = try byte()
        length += Int(next)
      } while next == 255
      return length
    }

    mutating func take(_ count: Int) throws(Fault) -> UnsafeRawPointer {
      guard count <= remaining, let start = bytes.baseAddress else {
        throw .malformed("lz4: the block ends inside a literal")
      }
      defer { position += count }
      return start + position
    }
  }
}
