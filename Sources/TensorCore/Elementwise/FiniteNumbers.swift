public import HostResources

/// Returns the position of the first number that is NaN or infinite; nil if all are finite.
public func firstNonFinite(_ values: UnsafePointer<Float>, count: Int) -> Int? {
  firstAtLeast(0x7F80_0000, count: count) { values[$0].bitPattern & 0x7FFF_FFFF }
}

/// Returns the same for stored half-precision numbers.
public func firstNonFinite(
  _ values: UnsafePointer<UInt16>, count: Int, format: HalfFormat
) -> Int? {
  // The bits of infinity without a sign; those of NaN are greater.
  let infinity: UInt16 = format == .binary16 ? 0x7C00 : 0x7F80
  return firstAtLeast(infinity, count: count) { values[$0] & 0x7FFF }
}

/// Returns the first index whose magnitude's bits are at least `limit`.
///
/// First finds the maximum of each block, on all threads, then the position.
@inline(__always)
private func firstAtLeast<Bits: FixedWidthInteger & Sendable>(
  _ limit: Bits, count: Int, _ bits: (Int) -> Bits
) -> Int? {
  let piece = 1 << 16
  let pieces = (count + piece - 1) / piece
  let largest = [Bits](unsafeUninitializedCapacity: pieces) { buffer, initialized in
    let target = buffer.baseAddress
    parallelRanges(pieces, grain: 4) { range in
      for index in range {
        var most: Bits = 0
        for place in index * piece..<min(count, (index + 1) * piece) {
          most = max(most, bits(place))
        }
        target.map { ($0 + index).initialize(to: most) }
      }
    }
    initialized = pieces
  }
  guard let found = largest.firstIndex(where: { $0 >= limit }) else { return nil }
  return (found * piece..<min(count, (found + 1) * piece)).first { bits($0) >= limit }
}

/// Quantizes numbers in 0...1 to bytes of 0...255, clamping those outside.
///
/// - Parameter rounding: how numbers between two bytes are rounded
/// - Returns: nil if a number is NaN or infinite
public func quantized(
  _ values: UnsafeBufferPointer<Float>, scale: Float = 1, shift: Float = 0,
  rounding: FloatingPointRoundingRule
) -> [UInt8]? {
  guard let source = values.baseAddress else { return [] }
  guard firstNonFinite(source, count: values.count) == nil else { return nil }
  return [UInt8](unsafeUninitializedCapacity: values.count) { buffer, initialized in
    for index in values.indices {
      let unit = min(max(source[index] * scale + shift, 0), 1)
      buffer[index] = UInt8((unit * 255).rounded(rounding))
    }
    initialized = values.count
  }
}
