import Glibc

/// Whole Snappy blocks in memory.
package enum Snappy {
  /// Decompresses a block that must give `count` bytes.
  package static func unpacked(_ block: [UInt8], count: Int) throws -> [UInt8] {
    let output = ByteBuffer()
    guard SnappyDecoder.canUnpack(block.count, to: count) else {
      throw Fault.malformed("snappy: \(block.count) bytes cannot unpack to \(count)")
    }
    try output.reserve(count)
    var decoder = SnappyDecoder(into: output.base, count: count)
    try block.withUnsafeBytes { bytes in
      let header = try decoder.checkSize(bytes)
      _ = try decoder.feed(UnsafeRawBufferPointer(rebasing: bytes[header...]), isLast: true)
    }
    try decoder.finish()
    return [UInt8](UnsafeRawBufferPointer(start: output.base, count: count))
  }

  /// Compresses bytes into a block.
  ///
  /// Fragments of 64 KiB are searched for repetitions of at least four bytes through a table of the
  /// last position of each hash; steps grow while nothing is found.
  package static func packed(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var packer = SnappyPacker(reserving: bytes.count + bytes.count / 6 + 32)
    packer.append(size: bytes.count)
    var start = 0
    while start < bytes.count {
      let end = min(start + SnappyPacker.fragmentByteCount, bytes.count)
      packer.append(fragment: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      start = end
    }
    return packer.output
  }
}

private struct SnappyPacker {
  static let fragmentByteCount = 1 << 16
  private static let tableBits = 14

  private(set) var output: [UInt8] = []
  private var table = [UInt16](repeating: 0, count: 1 << tableBits)

  init(reserving capacity: Int) { output.reserveCapacity(capacity) }

  mutating func append(size: Int) {
    var rest = size
    while rest >= 0x80 {
      output.append(UInt8(rest & 0x7f | 0x80))
      rest >>= 7
    }
    output.append(UInt8(rest))
  }

  mutating func append(fragment: UnsafeRawBufferPointer) {
    for index in table.indices { table[index] = 0 }
    var literalStart = 0
    var position = 1
    var misses = 32
    while position + 4 <= fragment.count {
      let word = fragment.loadUnaligned(fromByteOffset: position, as: UInt32.self)
      let slot = Int((word &* 0x1e35_a7bd) >> UInt32(32 - Self.tableBits))
      let candidate = Int(table[slot])
      table[slot] = UInt16(position)
      guard candidate < position,
        fragment.loadUnaligned(fromByteOffset: candidate, as: UInt32.self) == word
      else {
        position += misses >> 5
        misses += 1
        continue
      }
      append(literal: fragment[literalStart..<position])
      let length = matchLength(fragment, candidate, position)
      append(offset: position - candidate, length: length)
      position += length
      literalStart = position
      misses = 32
    }
    append(literal: fragment[literalStart...])
  }

  private func matchLength(
    _ fragment: UnsafeRawBufferPointer, _ candidate: Int, _ position: Int
  ) -> Int {
    var length = 4
    while position + length < fragment.count,
      fragment[candidate + length] == fragment[position + length]
    {
      length += 1
    }
    return length
  }

  private mutating func append(literal: Slice<UnsafeRawBufferPointer>) {
    guard !literal.isEmpty else { return }
    let last = literal.count - 1
    if last < 60 {
      output.append(UInt8(last << 2))
    } else if last < 1 << 8 {
      output.append(contentsOf: [60 << 2, UInt8(last)])
    } else {
      output.append(contentsOf: [61 << 2, UInt8(last & 0xff), UInt8(last >> 8)])
    }
    output.append(contentsOf: literal)
  }

  /// Copies of 64 bytes at most; the last two are balanced so that none is shorter than 4.
  private mutating func append(offset: Int, length: Int) {
    var left = length
    while left > 0 {
      let part = left > 64 ? min(64, left - 4) : left
      if part < 12, offset < 2048 {
        output.append(UInt8(1 | (part - 4) << 2 | (offset >> 8) << 5))
        output.append(UInt8(offset & 0xff))
      } else {
        output.append(UInt8(2 | (part - 1) << 2))
        output.append(UInt8(offset & 0xff))
        output.append(UInt8(offset >> 8))
      }
      left -= part
    }
  }
}
