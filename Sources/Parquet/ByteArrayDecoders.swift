import Glibc

/// Byte arrays in memory, each preceded by its length in 4 bytes.
final class PlainBytesDecoder: ValueDecoder {
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private var position = 0

  init(_ start: UnsafeRawPointer, byteCount: Int) {
    self.start = start
    self.byteCount = byteCount
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    for index in 0..<count {
      guard let length = lengthInside(start + position, left: byteCount - position) else {
        if index > 0 { return index }
        throw tooLong(start + position, left: byteCount - position)
      }
      batch.views[index] = UnsafeRawBufferPointer(start: start + position + 4, count: length)
      position += 4 + length
    }
    return count
  }

  func finish() throws(Fault) { try refuseRest(start + position, byteCount - position) }
}

/// The same, read through the window of the input: a page of any size needs little memory.
final class StreamedBytesDecoder: ValueDecoder {
  private let input: ChunkInput
  private var left: Int

  init(_ input: ChunkInput, byteCount: Int) {
    self.input = input
    left = byteCount
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    for index in 0..<count {
      if index > 0 {
        // Another refill would move the values of this step.
        let inWindow = min(left, input.bufferedCount)
        guard lengthInside(input.buffered.baseAddress, left: inWindow) != nil else {
          return index
        }
      }
      let length = try peekLength()
      let value = try input.take(4 + length) + 4
      left -= 4 + length
      batch.views[index] = UnsafeRawBufferPointer(start: value, count: length)
    }
    return count
  }

  func skip(_ count: Int, using batch: ValueBatch) throws(Fault) {
    for _ in 0..<count {
      let length = try peekLength()
      input.skip(4 + length)
      left -= 4 + length
    }
  }

  func finish() throws(Fault) {
    // Excessive lengths are rejected before their bytes are read.
    let start = try input.peek(min(left, paddingLimit))
    try refuseRest(start, left)
  }

  private func peekLength() throws(Fault) -> Int {
    let start = try input.peek(min(4, left))
    guard let length = lengthInside(start, left: left) else { throw tooLong(start, left: left) }
    return length
  }
}

/// Returns the length at `start`, unless it or its value exceeds the remaining bytes.
private func lengthInside(_ start: UnsafeRawPointer?, left: Int) -> Int? {
  guard let start, left >= 4 else { return nil }
  let length = Int(UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)))
  return length <= left - 4 ? length : nil
}

private func tooLong(_ start: UnsafeRawPointer, left: Int) -> Fault {
  guard left >= 4 else {
    return .malformed("expected a value, but only \(left) bytes are left in the page")
  }
  let length = UInt32(littleEndian: start.loadUnaligned(as: UInt32.self))
  return .malformed("a value of \(length) bytes, but only \(left - 4) are left in the page")
}

/// Byte arrays whose lengths are stored first, as differences.
final class DeltaLengthDecoder: ValueDecoder {
  private var lengths: DeltaDecoder
  private let start: UnsafeRawPointer
  private var position: Int
  private let end: Int

  init(
    _ start: UnsafeRawPointer, byteCount: Int, limit: Int, batch: ValueBatch
  ) throws(Fault) {
    lengths = try DeltaDecoder(start, byteCount: byteCount, limit: limit, maximumWidth: 32)
    let (sum, position) = try lengths.end(scratch: batch.lengths)
    guard sum == byteCount - position else {
      throw .malformed(
        "the values' lengths add up to \(sum), but \(byteCount - position) bytes follow")
    }
    self.start = start
    self.position = position
    end = byteCount
  }

  var remaining: Int { lengths.remaining }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    try lengths.readLengths(count, into: batch.lengths)
    for index in 0..<count {
      let length = Int(batch.lengths[index])
      batch.views[index] = UnsafeRawBufferPointer(start: start + position, count: length)
      position += length
    }
    return count
  }

  /// Reads one value.
  func next() throws(Fault) -> UnsafeRawBufferPointer {
    var length: Int32 = 0
    try lengths.readLengths(1, into: &length)
    defer { position += Int(length) }
    return UnsafeRawBufferPointer(start: start + position, count: Int(length))
  }

  func finish() throws(Fault) { try refuseRest(start + position, end - position) }
}

/// Byte arrays as the number of bytes shared with the previous value, and the rest.
final class DeltaBytesDecoder: ValueDecoder {
  private var prefixes: DeltaDecoder
  private let suffixes: DeltaLengthDecoder
  private let width: Int
  private let previous = ByteBuffer()
  private var previousCount = 0
  private var builtByteCount = 0

  /// - Parameter width: bytes each value must have, or 0 for any number.
  init(
    _ start: UnsafeRawPointer, byteCount: Int, limit: Int, width: Int, batch: ValueBatch
  ) throws(Fault) {
    prefixes = try DeltaDecoder(start, byteCount: byteCount, limit: limit, maximumWidth: 32)
    let (_, position) = try prefixes.end(scratch: batch.lengths)
    suffixes = try DeltaLengthDecoder(
      start + position, byteCount: byteCount - position, limit: limit, batch: batch)
    guard suffixes.remaining == prefixes.remaining else {
      throw .malformed("\(prefixes.remaining) prefixes for \(suffixes.remaining) suffixes")
    }
    self.width = width
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    var ends = 0
    var built = 0
    while built < count, ends < ValueBatch.builtByteCount {
      let value = try appendValue(to: batch, at: ends)
      ends += value
      batch.lengths[built] = Int32(value)
      built += 1
    }
    // The buffer may have moved while it grew.
    batch.fixed = UnsafeRawPointer(batch.scratch.base)
    var position = 0
    for index in 0..<built {
      let length = Int(batch.lengths[index])
      batch.views[index] = UnsafeRawBufferPointer(
        start: batch.scratch.base + position, count: length)
      position += length
    }
    return built
  }

  func finish() throws(Fault) {
    guard prefixes.remaining == 0 else {
      throw .malformed("the page has \(prefixes.remaining) more values than its levels say")
    }
  }

  /// Builds one value at `offset` of the batch's scratch memory; returns its length.
  private func appendValue(to batch: ValueBatch, at offset: Int) throws(Fault) -> Int {
    var prefix: Int32 = 0
    try prefixes.readLengths(1, into: &prefix)
    guard prefix <= previousCount else {
      throw .malformed(
        "a value shares \(prefix) bytes with the one before, which has \(previousCount)")
    }
    let suffix = try suffixes.next()
    let length = Int(prefix) + suffix.count
    guard width == 0 || length == width else {
      throw .malformed("a value of \(length) bytes in a column of \(width)")
    }
    builtByteCount += length
    guard builtByteCount <= PageHeader.maximumByteCount else {
      throw .malformed("the page unpacks to more than \(PageHeader.maximumByteCount) bytes")
    }
    try previous.reserve(length, keeping: Int(prefix))
    if let bytes = suffix.baseAddress {
      memcpy(previous.base + Int(prefix), bytes, suffix.count)
    }
    previousCount = length
    try batch.scratch.reserve(offset + length, keeping: offset)
    memcpy(batch.scratch.base + offset, previous.base, length)
    return length
  }
}
