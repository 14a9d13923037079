/// A decoding table of a JPEG's Huffman code (T.81, annexes C and F.2.2.3).
///
/// Codes of up to ``lookupBits`` bits are found with one load; longer ones by comparing with the
/// largest code of each length. A class, because it owns memory that scans hold pointers to.
final class HuffmanTable {
  static let lookupBits = 10

  /// By the next ``lookupBits`` bits: code length in the high byte, symbol in the low byte; 0 for a
  /// code that is longer or does not exist.
  let lookup: UnsafeMutablePointer<UInt16>
  /// AC tables, by the same bits: where code and value bits both fit, the coefficient in the high
  /// half, the run of zeros before it in bits 8...15, the total length below; otherwise 0.
  let coefficients: UnsafeMutablePointer<Int32>
  /// By code length: the first 16-bit pattern that is beyond the codes of this length.
  private let limits: UnsafeMutablePointer<UInt32>
  /// By code length: place of a code's symbol minus the code.
  private let symbolOffsets: UnsafeMutablePointer<Int>
  private let symbols: UnsafeMutablePointer<UInt8>

  /// Nil if the counts describe more codes than fit, or a DC table has a size above 15.
  ///
  /// - Parameters:
  ///   - codeCounts: how many codes have 1, 2, ... 16 bits
  ///   - symbols: their symbols in order of the codes, at most 256
  init?(codeCounts: [UInt8], symbols: [UInt8], isDC: Bool) {
    lookup = .allocate(capacity: 1 << Self.lookupBits)
    lookup.initialize(repeating: 0, count: 1 << Self.lookupBits)
    coefficients = .allocate(capacity: 1 << Self.lookupBits)
    coefficients.initialize(repeating: 0, count: 1 << Self.lookupBits)
    limits = .allocate(capacity: 18)
    limits.initialize(repeating: 0, count: 18)
    symbolOffsets = .allocate(capacity: 18)
    symbolOffsets.initialize(repeating: 0, count: 18)
    self.symbols = .allocate(capacity: 256)
    self.symbols.initialize(repeating: 0, count: 256)

    guard symbols.count <= 256, !isDC || symbols.allSatisfy({ $0 <= 15 }) else { return nil }
    for (index, symbol) in symbols.enumerated() { self.symbols[index] = symbol }
    var code = 0
    var index = 0
    for length in 1...16 {
      symbolOffsets[length] = index - code
      let count = Int(codeCounts[length - 1])
      guard code + count <= 1 << length else { return nil }
      for _ in 0..<count {
        if length <= Self.lookupBits { fillLookup(code, length, symbols[index]) }
        code += 1
        index += 1
      }
      limits[length] = UInt32(code << (16 - length))
      code <<= 1
    }
    limits[17] = UInt32.max
    if !isDC { fillCoefficients() }
  }

  deinit {
    lookup.deallocate()
    coefficients.deallocate()
    limits.deallocate()
    symbolOffsets.deallocate()
    symbols.deallocate()
  }

  /// The code length and symbol, as in ``lookup``, of a code longer than ``lookupBits``; 0 where
  /// `window`, the next 16 bits, begins with no code.
  @inline(never)
  func longCode(_ window: UInt32) -> UInt16 {
    var length = Self.lookupBits + 1
    while window >= limits[length] { length += 1 }
    guard length <= 16 else { return 0 }
    let place = symbolOffsets[length] + Int(window >> UInt32(16 - length))
    return UInt16(length) << 8 | UInt16(symbols[place & 255])
  }

  private func fillLookup(_ code: Int, _ length: Int, _ symbol: UInt8) {
    let spare = Self.lookupBits - length
    let entry = UInt16(length) << 8 | UInt16(symbol)
    for pattern in code << spare..<(code + 1) << spare { lookup[pattern] = entry }
  }

  private func fillCoefficients() {
    for pattern in 0..<1 << Self.lookupBits {
      let length = Int(lookup[pattern] >> 8)
      let run = Int(lookup[pattern] >> 4 & 15)
      let size = Int(lookup[pattern] & 15)
      guard length > 0, size > 0, length + size <= Self.lookupBits else { continue }
      let bits = pattern >> (Self.lookupBits - length - size) & (1 << size - 1)
      let value = bits >> (size - 1) == 0 ? bits - (1 << size) + 1 : bits
      coefficients[pattern] = Int32(value << 16 | run << 8 | (length + size))
    }
  }
}
