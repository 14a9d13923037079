/// Reads integers of up to 32 bits from runs of equal values and runs of packed bits.
///
/// Each run begins with a varint: `count << 1` and then the value in whole bytes, or
/// `groups << 1 | 1` and then `groups * 8` values of `width` bits, lowest bit first.
/// The bytes lie in a ``ByteBuffer``, whose slack is read past the end.
struct HybridDecoder {
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private let width: Int
  private var position = 0
  private var repeatsLeft = 0
  private var repeated: UInt32 = 0
  private var packedLeft = 0
  /// The beginning of the next packed value, in bits from `start`.
  private var bit = 0

  init(_ start: UnsafeRawPointer, byteCount: Int, width: Int) throws(Fault) {
    guard (0...32).contains(width) else {
      throw .malformed("packed integers of \(width) bits, expected 0 to 32")
    }
    self.start = start
    self.byteCount = byteCount
    self.width = width
  }

  /// Reads exactly `count` values.
  mutating func read<Value: FixedWidthInteger>(
    _ count: Int, into output: UnsafeMutablePointer<Value>
  ) throws(Fault) {
    var done = 0
    while done < count {
      if repeatsLeft > 0 {
        let run = min(repeatsLeft, count - done)
        (output + done).update(repeating: Value(truncatingIfNeeded: repeated), count: run)
        repeatsLeft -= run
        done += run
      } else if packedLeft > 0 {
        let run = min(packedLeft, count - done)
        unpack(run, into: output + done)
        packedLeft -= run
        done += run
      } else {
        try readRunHeader(missing: count - done)
      }
    }
  }

  mutating func skip(_ count: Int) throws(Fault) {
    var left = count
    while left > 0 {
      if repeatsLeft > 0 {
        let run = min(repeatsLeft, left)
        repeatsLeft -= run
        left -= run
      } else if packedLeft > 0 {
        let run = min(packedLeft, left)
        bit += run * width
        packedLeft -= run
        left -= run
      } else {
        try readRunHeader(missing: left)
      }
    }
  }

  private mutating func readRunHeader(missing: Int) throws(Fault) {
    // With no bits there is nothing to store, and some writers store nothing.
    if width == 0, position >= byteCount {
      repeatsLeft = missing
      repeated = 0
      return
    }
    let header = try readVarint(missing: missing)
    if header & 1 == 0 {
      repeatsLeft = Int(header >> 1)
      let bytes = (width + 7) / 8
      guard bytes <= byteCount - position else { throw ended(missing) }
      repeated = 0
      for index in 0..<bytes {
        repeated |=
          UInt32(start.load(fromByteOffset: position + index, as: UInt8.self))
          << UInt32(8 * index)
      }
      position += bytes
      guard width == 32 || repeated >> UInt32(width) == 0 else {
        throw .malformed("a run of the value \(repeated), which has more than \(width) bits")
      }
    } else {
      let groups = Int(header >> 1)
      // The last group may be truncated if its values are not needed.
      let bytes = min(groups * width, byteCount - position)
      packedLeft = width == 0 ? groups * 8 : min(groups * 8, bytes * 8 / width)
      bit = position * 8
      position += bytes
      guard packedLeft > 0 || groups == 0 else { throw ended(missing) }
    }
  }

  private mutating func readVarint(missing: Int) throws(Fault) -> UInt32 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 35, by: 7) {
      guard position < byteCount else { throw ended(missing) }
      let byte = start.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      guard byte & 0x80 != 0 else {
        guard let header = UInt32(exactly: value) else { break }
        return header
      }
    }
    throw .malformed("the length of a run has more than 32 bits")
  }

  private func ended(_ missing: Int) -> Fault {
    .malformed("packed integers end with \(missing) values missing")
  }

  private mutating func unpack<Value: FixedWidthInteger>(
    _ count: Int, into output: UnsafeMutablePointer<Value>
  ) {
    let mask: UInt64 = (1 << UInt64(width)) - 1
    var bit = bit
    for index in 0..<count {
      let word = start.loadUnaligned(fromByteOffset: bit >> 3, as: UInt64.self)
      output[index] = Value(
        truncatingIfNeeded: UInt64(littleEndian: word) >> UInt64(bit & 7) & mask)
      bit += width
    }
    self.bit = bit
  }
}

/// The levels of a page: which of a column's values are present, and where lists begin.
enum LevelDecoder {
  /// Every level is the same and nothing is stored: the column's maximum is 0.
  case none
  case hybrid(HybridDecoder)
  /// The deprecated form: packed bits without runs, highest bit first.
  case packed(start: UnsafeRawPointer, bit: Int, width: Int, bitCount: Int)

  mutating func read(
    _ count: Int, into output: UnsafeMutablePointer<UInt8>
  ) throws(Fault) {
    switch self {
    case .none:
      output.update(repeating: 0, count: count)
    case .hybrid(var decoder):
      try decoder.read(count, into: output)
      self = .hybrid(decoder)
    case .packed(let start, var bit, let width, let bitCount):
      guard count * width <= bitCount - bit else {
        throw .malformed("packed levels end with \(count - (bitCount - bit) / width) missing")
      }
      for index in 0..<count {
        var level: UInt8 = 0
        for _ in 0..<width {
          let byte = start.load(fromByteOffset: bit >> 3, as: UInt8.self)
          level = level << 1 | byte >> UInt8(7 - bit & 7) & 1
          bit += 1
        }
        output[index] = level
      }
      self = .packed(start: start, bit: bit, width: width, bitCount: bitCount)
    }
  }

  /// Returns the bits needed for the levels 0...maximum.
  static func width(of maximum: Int) -> Int {
    Int.bitWidth - maximum.leadingZeroBitCount
  }
}
