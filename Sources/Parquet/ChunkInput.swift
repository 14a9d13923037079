import CZlib
import Files
import Glibc

/// The bytes of one column chunk, read in order through a window of about a megabyte.
///
/// The pointers that it returns are valid until the next read.
final class ChunkInput {
  private static let smallestReadAhead = 1 << 14
  private static let largestReadAhead = 1 << 20

  private let file: RegularFile
  private let window = ByteBuffer()
  /// The file offset of the window's first byte.
  private var windowOffset = 0
  private var next = 0
  private var filled = 0
  private var end = 0
  /// Grows while the chunk is read without gaps, so that skipping pages costs little.
  private var readAhead = smallestReadAhead

  init(_ file: RegularFile) { self.file = file }

  /// Switches to another chunk; its range has been checked against the file.
  func open(_ range: Range<Int>) {
    windowOffset = range.lowerBound
    end = range.upperBound
    next = 0
    filled = 0
    readAhead = Self.smallestReadAhead
  }

  /// The offset in the file of the next byte.
  var offset: Int { windowOffset + next }
  var remaining: Int { end - offset }
  var bufferedCount: Int { filled - next }

  /// The bytes that can be read without another system call.
  var buffered: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: window.base + next, count: bufferedCount)
  }

  /// Makes the next `count` bytes available without moving past them.
  func peek(_ count: Int) throws(Fault) -> UnsafeRawPointer {
    if count > bufferedCount { try refill(count) }
    return UnsafeRawPointer(window.base + next)
  }

  func take(_ count: Int) throws(Fault) -> UnsafeRawPointer {
    let pointer = try peek(count)
    next += count
    return pointer
  }

  /// Skips bytes without reading those outside the window; the target is inside the chunk.
  func skip(_ count: Int) {
    guard count > bufferedCount else {
      next += count
      return
    }
    windowOffset += next + count
    next = 0
    filled = 0
    readAhead = Self.smallestReadAhead
  }

  /// Returns some of the next `count` bytes: all, or as many as the window holds, but at least 8.
  func piece(of count: Int) throws(Fault) -> UnsafeRawBufferPointer {
    let start = try peek(min(count, 8))
    return UnsafeRawBufferPointer(start: start, count: min(count, bufferedCount))
  }

  /// The CRC-32 of the next `count` bytes.
  func checksum(_ count: Int) throws(Fault) -> UInt32 {
    if count <= Self.largestReadAhead {
      return ByteBuffer.checksum(UnsafeRawBufferPointer(start: try peek(count), count: count))
    }
    // A large page is read twice rather than held.
    let scratch = ByteBuffer()
    try scratch.reserve(Self.largestReadAhead)
    var sum: UInt32 = 0
    var done = 0
    while done < count {
      let part = UnsafeMutableRawBufferPointer(
        start: scratch.base, count: min(count - done, Self.largestReadAhead))
      try file.readOrFault(at: offset + done, into: part)
      sum = ByteBuffer.checksum(UnsafeRawBufferPointer(part), after: sum)
      done += part.count
    }
    return sum
  }

  private func refill(_ count: Int) throws(Fault) {
    guard count <= remaining else {
      throw .malformed("\(count) bytes are needed, but the column chunk has \(remaining) left")
    }
    let kept = bufferedCount
    let wanted = min(remaining, max(count, readAhead))
    readAhead = min(readAhead * 2, Self.largestReadAhead)
    if next > 0 { memmove(window.base, window.base + next, kept) }
    windowOffset += next
    next = 0
    filled = kept
    try window.reserve(wanted, keeping: kept)
    let free = UnsafeMutableRawBufferPointer(start: window.base + kept, count: wanted - kept)
    try file.readOrFault(at: windowOffset + kept, into: free)
    filled = wanted
  }
}

extension ByteBuffer {
  /// The CRC-32 of zlib, continuing from the sum of the bytes before.
  static func checksum(_ bytes: UnsafeRawBufferPointer, after sum: UInt32 = 0) -> UInt32 {
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    return UInt32(truncatingIfNeeded: crc32_z(uLong(sum), start, bytes.count))
  }
}
