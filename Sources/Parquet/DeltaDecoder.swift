/// Reads integers stored as differences, packed in blocks (DELTA_BINARY_PACKED).
///
/// Header: block size, miniblocks a block, number of values, first value. Each block: the least
/// difference, one bit width a miniblock, the miniblocks. Sums wrap around, as the format says.
/// The bytes lie in a ``ByteBuffer``, whose slack is read past the end.
struct DeltaDecoder {
  /// Values that are not yet read.
  private(set) var remaining: Int
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private let maximumWidth: Int
  private let miniblocksPerBlock: Int
  private let valuesPerMiniblock: Int
  /// The beginning of the next block, and, once all values are read, the end of the stream.
  private(set) var position: Int
  private var value: Int64
  private var isFirst = true
  private var leastDelta: Int64 = 0
  private var widthsPosition = 0
  private var miniblock: Int
  private var leftInMiniblock = 0
  private var width = 0
  private var bit = 0

  /// - Parameters:
  ///   - limit: the page's number of values, including nulls.
  ///   - maximumWidth: 32 or 64, the bits of the column's type.
  init(
    _ start: UnsafeRawPointer, byteCount: Int, limit: Int, maximumWidth: Int
  ) throws(Fault) {
    var header = DeltaHeader(start, byteCount: byteCount)
    let blockSize = try header.readVarint()
    let miniblocks = try header.readVarint()
    let total = try header.readVarint()
    let first = try header.readSignedVarint()
    guard blockSize > 0, blockSize % 128 == 0, blockSize <= 1 << 30 else {
      throw .malformed("delta blocks of \(blockSize) values, expected a multiple of 128")
    }
    guard miniblocks > 0, blockSize % miniblocks == 0, blockSize / miniblocks % 32 == 0 else {
      throw .malformed("delta blocks of \(blockSize) values in \(miniblocks) miniblocks")
    }
    guard total <= UInt64(limit) else {
      throw .malformed("a delta stream claims \(total) values, the page \(limit)")
    }
    self.start = start
    self.byteCount = byteCount
    self.maximumWidth = maximumWidth
    remaining = Int(total)
    miniblocksPerBlock = Int(miniblocks)
    valuesPerMiniblock = Int(blockSize / miniblocks)
    position = header.position
    value = first
    miniblock = miniblocksPerBlock
  }

  /// Reads exactly `count` values.
  mutating func read<Value: FixedWidthInteger>(
    _ count: Int, into output: UnsafeMutablePointer<Value>
  ) throws(Fault) {
    try checkRemaining(count)
    remaining -= count
    var done = 0
    if isFirst, count > 0 {
      isFirst = false
      output[0] = Value(truncatingIfNeeded: value)
      done = 1
    }
    while done < count {
      if leftInMiniblock == 0 { try beginMiniblock() }
      let run = min(leftInMiniblock, count - done)
      sum(run, into: output + done)
      leftInMiniblock -= run
      done += run
    }
  }

  /// Reads `count` lengths; rejects negative ones.
  mutating func readLengths(
    _ count: Int, into output: UnsafeMutablePointer<Int32>
  ) throws(Fault) {
    try read(count, into: output)
    for index in 0..<count where output[index] < 0 {
      throw .malformed("a value of \(output[index]) bytes")
    }
  }

  /// Reads all remaining lengths; returns their sum and the end of the stream.
  ///
  /// `scratch` has room for ``ValueBatch/capacity`` lengths.
  func end(scratch: UnsafeMutablePointer<Int32>) throws(Fault) -> (sum: Int, position: Int) {
    var copy = self
    var sum = 0
    while copy.remaining > 0 {
      let count = min(copy.remaining, ValueBatch.capacity)
      try copy.readLengths(count, into: scratch)
      for index in 0..<count { sum += Int(scratch[index]) }
    }
    return (sum, copy.position)
  }

  private func checkRemaining(_ count: Int) throws(Fault) {
    guard count <= remaining else {
      throw .malformed("a delta stream ends with \(count - remaining) values missing")
    }
  }

  private mutating func beginMiniblock() throws(Fault) {
    if miniblock == miniblocksPerBlock {
      var header = DeltaHeader(start, byteCount: byteCount, position: position)
      leastDelta = try header.readSignedVarint()
      widthsPosition = header.position
      guard miniblocksPerBlock <= byteCount - widthsPosition else {
        throw .malformed("a delta block ends inside its bit widths")
      }
      position = widthsPosition + miniblocksPerBlock
      miniblock = 0
    }
    width = Int(start.load(fromByteOffset: widthsPosition + miniblock, as: UInt8.self))
    guard width <= maximumWidth else {
      throw .malformed("differences of \(width) bits in a type of \(maximumWidth)")
    }
    let bytes = valuesPerMiniblock / 8 * width
    guard bytes <= byteCount - position else {
      throw .malformed("a delta block ends inside a miniblock")
    }
    bit = position * 8
    position += bytes
    miniblock += 1
    leftInMiniblock = valuesPerMiniblock
  }

  private mutating func sum<Value: FixedWidthInteger>(
    _ count: Int, into output: UnsafeMutablePointer<Value>
  ) {
    let mask: UInt64 = width == 64 ? .max : (1 << UInt64(width)) - 1
    var value = value
    for index in 0..<count {
      let byte = start + bit >> 3
      let shift = UInt64(bit & 7)
      var delta = UInt64(littleEndian: byte.loadUnaligned(as: UInt64.self)) >> shift
      if width > 56, shift > 0 {
        delta |= UInt64(byte.load(fromByteOffset: 8, as: UInt8.self)) << (64 - shift)
      }
      value = value &+ leastDelta &+ Int64(bitPattern: delta & mask)
      output[index] = Value(truncatingIfNeeded: value)
      bit += width
    }
    self.value = value
  }
}

/// The varints at the head of a delta stream and of its blocks.
private struct DeltaHeader {
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private(set) var position: Int

  init(_ start: UnsafeRawPointer, byteCount: Int, position: Int = 0) {
    self.start = start
    self.byteCount = byteCount
    self.position = position
  }

  mutating func readVarint() throws(Fault) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < byteCount else { throw .malformed("a delta stream ends in its header") }
      let byte = start.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      guard shift < 63 || byte <= 1 else { break }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw .malformed("an integer of a delta header has more than 64 bits")
  }

  mutating func readSignedVarint() throws(Fault) -> Int64 {
    let folded = try readVarint()
    return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
  }
}
