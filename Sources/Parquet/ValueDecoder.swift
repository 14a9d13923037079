import Glibc

/// The output of a decoder for one step, valid until the next one.
final class ValueBatch {
  /// The most values of one step.
  static let capacity = 1024

  /// The limit on values built in one step, unless a single one is larger.
  static let builtByteCount = 1 << 20

  /// Values of a fixed width, consecutive and unaligned.
  var fixed: UnsafeRawPointer
  /// Byte arrays of any length.
  let views: UnsafeMutablePointer<UnsafeRawBufferPointer>
  let indices: UnsafeMutablePointer<UInt32>
  let lengths: UnsafeMutablePointer<Int32>
  /// Memory for values that are not stored contiguously in the page.
  let scratch = ByteBuffer()

  init() {
    fixed = UnsafeRawPointer(scratch.base)
    views = .allocate(capacity: Self.capacity)
    views.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: Self.capacity)
    indices = .allocate(capacity: Self.capacity)
    indices.initialize(repeating: 0, count: Self.capacity)
    lengths = .allocate(capacity: Self.capacity)
    lengths.initialize(repeating: 0, count: Self.capacity)
  }

  /// Returns the number of values, at most `count`, of a width to build in one step.
  static func stepCount(_ count: Int, width: Int) -> Int {
    min(count, max(1, builtByteCount / max(width, 1)))
  }

  deinit {
    views.deallocate()
    indices.deallocate()
    lengths.deallocate()
  }
}

/// Reads the values of one page, nulls left out.
protocol ValueDecoder: AnyObject {
  /// Decodes at least one and at most `count` values; `count` is 1 to `ValueBatch.capacity`.
  ///
  /// If a value is damaged, those before it are returned, and the next call throws.
  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int

  func skip(_ count: Int, using batch: ValueBatch) throws(Fault)

  /// Throws if the page has more values than were read.
  func finish() throws(Fault)
}

extension ValueDecoder {
  func skip(_ count: Int, using batch: ValueBatch) throws(Fault) {
    var left = count
    while left > 0 { left -= try next(min(left, ValueBatch.capacity), into: batch) }
  }
}

/// Values of a fixed width, one after another.
final class PlainFixedDecoder: ValueDecoder {
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private let width: Int
  private var position = 0

  init(_ start: UnsafeRawPointer, byteCount: Int, width: Int) {
    self.start = start
    self.byteCount = byteCount
    self.width = width
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    let whole = min(count, (byteCount - position) / width)
    guard whole > 0 else {
      throw .malformed(
        "expected \(count) values of \(width) bytes, but only \(byteCount - position) bytes are left"
      )
    }
    batch.fixed = start + position
    position += whole * width
    return whole
  }

  func finish() throws(Fault) { try refuseRest(start + position, byteCount - position) }
}

/// Booleans of one bit, the lowest bit first.
final class PlainBooleanDecoder: ValueDecoder {
  private let start: UnsafeRawPointer
  private let bitCount: Int
  private var bit = 0

  init(_ start: UnsafeRawPointer, byteCount: Int) {
    self.start = start
    bitCount = byteCount * 8
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    guard count <= bitCount - bit else {
      throw .malformed("expected \(count) booleans, but only \(bitCount - bit) bits are left")
    }
    try batch.scratch.reserve(count)
    let output = batch.scratch.base.assumingMemoryBound(to: UInt8.self)
    for index in 0..<count {
      let byte = start.load(fromByteOffset: bit >> 3, as: UInt8.self)
      output[index] = byte >> UInt8(bit & 7) & 1
      bit += 1
    }
    batch.fixed = UnsafeRawPointer(output)
    return count
  }

  /// Some writers round up to groups of 8 values or more.
  func finish() {}
}

/// Booleans as runs and packed bits, preceded by the length of the whole.
final class RunLengthBooleanDecoder: ValueDecoder {
  private var values: HybridDecoder

  init(_ start: UnsafeRawPointer, byteCount: Int) throws(Fault) {
    guard byteCount >= 4 else { throw .malformed("run-length values without their length") }
    let length = Int(UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)))
    guard length <= byteCount - 4 else {
      throw .malformed("expected \(length) bytes of runs, but only \(byteCount - 4) are left")
    }
    values = try HybridDecoder(start + 4, byteCount: length, width: 1)
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    try batch.scratch.reserve(count)
    try values.read(count, into: batch.scratch.base.assumingMemoryBound(to: UInt8.self))
    batch.fixed = UnsafeRawPointer(batch.scratch.base)
    return count
  }

  func finish() {}
}

/// Integers as differences.
final class DeltaIntegerDecoder: ValueDecoder {
  private var values: DeltaDecoder
  private let width: Int

  init(_ start: UnsafeRawPointer, byteCount: Int, limit: Int, width: Int) throws(Fault) {
    values = try DeltaDecoder(
      start, byteCount: byteCount, limit: limit, maximumWidth: width * 8)
    self.width = width
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    try batch.scratch.reserve(count * width)
    let output = batch.scratch.base
    if width == 4 {
      try values.read(count, into: output.assumingMemoryBound(to: Int32.self))
    } else {
      try values.read(count, into: output.assumingMemoryBound(to: Int64.self))
    }
    batch.fixed = UnsafeRawPointer(output)
    return count
  }

  func finish() throws(Fault) {
    guard values.remaining == 0 else {
      throw .malformed("the page has \(values.remaining) more values than its levels say")
    }
  }
}

/// Values of a fixed width split into bytes: all first bytes, then all second bytes, and so on.
final class ByteStreamSplitDecoder: ValueDecoder {
  private let start: UnsafeRawPointer
  private let width: Int
  private let valueCount: Int
  private var position = 0

  init(_ start: UnsafeRawPointer, byteCount: Int, width: Int) throws(Fault) {
    guard byteCount % width == 0 else {
      throw .malformed("\(byteCount) bytes are not streams for values of \(width) bytes")
    }
    self.start = start
    self.width = width
    valueCount = byteCount / width
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    let count = ValueBatch.stepCount(count, width: width)
    let first = position
    try skip(count, using: batch)
    try batch.scratch.reserve(count * width)
    let output = batch.scratch.base.assumingMemoryBound(to: UInt8.self)
    for byte in 0..<width {
      let stream = (start + byte * valueCount + first).assumingMemoryBound(to: UInt8.self)
      for index in 0..<count { output[index * width + byte] = stream[index] }
    }
    batch.fixed = UnsafeRawPointer(output)
    return count
  }

  func skip(_ count: Int, using batch: ValueBatch) throws(Fault) {
    guard count <= valueCount - position else {
      throw .malformed("expected \(count) values, but only \(valueCount - position) are left")
    }
    position += count
  }

  func finish() throws(Fault) {
    guard position == valueCount else {
      throw .malformed("the page has \(valueCount - position) more values than its levels say")
    }
  }
}

/// The most zero bytes that a writer may leave after the last value; fastparquet leaves 8.
let paddingLimit = 64

/// Rejects bytes after a page's last value, except for some zeros.
func refuseRest(_ start: UnsafeRawPointer, _ byteCount: Int) throws(Fault) {
  let rest = UnsafeRawBufferPointer(start: start, count: byteCount)
  guard byteCount <= paddingLimit, rest.allSatisfy({ $0 == 0 }) else {
    throw .malformed(
      "\(byteCount) bytes are left after the page's last value: "
        + "its levels and values do not match")
  }
}
