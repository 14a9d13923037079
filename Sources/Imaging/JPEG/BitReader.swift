/// Reads bits of entropy-coded data, the highest of each byte first.
///
/// Reading past the end yields ``EntropyCodedData``'s padding (or the next interval); ``position``
/// reveals it afterwards.
struct BitReader {
  /// The next bits, from the highest bit down; below the `available` ones lie bits that will be
  /// read again.
  private(set) var window: UInt64 = 0
  private var available = 0
  private var next: UnsafePointer<UInt8>
  private let start: UnsafePointer<UInt8>

  init(_ start: UnsafePointer<UInt8>) {
    self.start = start
    next = start
  }

  /// Bits consumed so far.
  var position: Int { 8 * (next - start) - available }

  /// Makes at least 56 bits available.
  @inline(__always)
  mutating func refill() {
    let word = UInt64(bigEndian: UnsafeRawPointer(next).loadUnaligned(as: UInt64.self))
    window |= word &>> UInt64(truncatingIfNeeded: available)
    next += (63 &- available) &>> 3
    available |= 56
  }

  /// Makes at least 32 bits available: enough for one code and its value.
  @inline(__always)
  mutating func refillIfNeeded() {
    if available < 32 { refill() }
  }

  @inline(__always)
  mutating func skip(_ count: Int) {
    window = window &<< UInt64(truncatingIfNeeded: count)
    available &-= count
  }

  /// The next 0...16 bits as a number.
  @inline(__always)
  mutating func bits(_ count: Int) -> Int {
    let value = Int(truncatingIfNeeded: (window &>> 1) &>> UInt64(truncatingIfNeeded: 63 &- count))
    skip(count)
    return value
  }

  @inline(__always)
  mutating func bit() -> Bool {
    let isSet = Int64(bitPattern: window) < 0
    skip(1)
    return isSet
  }

  /// A value of 0...16 bits in the code of T.81, table F.1: a leading 0 means negative.
  @inline(__always)
  mutating func signedValue(_ size: Int) -> Int {
    let isNegative = ~(Int(truncatingIfNeeded: window) &>> 63)  // all ones or all zeros
    let offset = isNegative & (1 &- (1 &<< size))
    return bits(size) &+ offset
  }

  /// Decodes the next symbol, whose code must be available.
  @inline(__always)
  mutating func symbol(_ table: HuffmanTable) throws(ScanFault) -> Int {
    var entry = table.lookup[
      Int(truncatingIfNeeded: window &>> UInt64(64 &- HuffmanTable.lookupBits))]
    if entry == 0 {
      entry = table.longCode(UInt32(truncatingIfNeeded: window &>> 48))
      if entry == 0 { throw .unknownCode }
    }
    skip(Int(entry &>> 8))
    return Int(entry & 255)
  }
}

/// An error in entropy-coded data.
enum ScanFault: Error {
  case unknownCode
  case coefficientOutsideBlock
  case valueOutOfRange
  case bandRunTooLong
  case endOfData
  case surplusData

  var reason: String {
    switch self {
    case .unknownCode: "bits that are not a Huffman code"
    case .coefficientOutsideBlock: "a run of zeros past the end of a block"
    case .valueOutOfRange: "a coefficient out of range"
    case .bandRunTooLong: "a run of empty blocks past the end of its interval"
    case .endOfData: "the data of a scan ends too early"
    case .surplusData: "bytes left over after the last block of an interval"
    }
  }
}
