/// Conversions between stored elements and the numbers of the program.
///
/// Stored elements are little-endian, as are all processors that this builds for.
extension ElementType {
  /// Writes the elements of a piece as `Float` from a position of the destination on.
  typealias Widening = (UnsafeRawBufferPointer, UnsafeMutableBufferPointer<Float>, Int) -> Void

  /// Appends the elements of a piece as `Int`; false if one does not fit.
  typealias IntegerConversion = (UnsafeRawBufferPointer, inout [Int]) -> Bool

  var widening: Widening? {
    switch self {
    case .f32: { convert($0, $1, $2) { (value: Float) in value } }
    case .f16: { convert($0, $1, $2) { (value: Float16) in Float(value) } }
    case .bf16:
      { convert($0, $1, $2) { (value: UInt16) in Float(bitPattern: UInt32(value) << 16) } }
    case .f64: { convert($0, $1, $2) { (value: Double) in Float(value) } }
    case .f8e5m2, .f8e4m3, .f8e4m3fnuz, .f8e5m2fnuz:
      minifloat.map { format in
        let values = format.values
        return { convert($0, $1, $2) { (value: UInt8) in values[Int(value)] } }
      }
    default: nil
    }
  }

  /// Whether its elements can be read as `Float`.
  package var isFloat: Bool { widening != nil }

  private var minifloat: Minifloat? {
    switch self {
    case .f8e4m3: Minifloat(mantissaBits: 3, bias: 7, notFinite: .largest)
    case .f8e5m2: Minifloat(mantissaBits: 2, bias: 15, notFinite: .highestExponent)
    case .f8e4m3fnuz: Minifloat(mantissaBits: 3, bias: 8, notFinite: .negativeZero)
    case .f8e5m2fnuz: Minifloat(mantissaBits: 2, bias: 16, notFinite: .negativeZero)
    default: nil
    }
  }

  var integerConversion: IntegerConversion? {
    switch self {
    case .u8: { appendIntegers($0, as: UInt8.self, to: &$1) }
    case .i8: { appendIntegers($0, as: Int8.self, to: &$1) }
    case .u16: { appendIntegers($0, as: UInt16.self, to: &$1) }
    case .i16: { appendIntegers($0, as: Int16.self, to: &$1) }
    case .u32: { appendIntegers($0, as: UInt32.self, to: &$1) }
    case .i32: { appendIntegers($0, as: Int32.self, to: &$1) }
    case .u64: { appendIntegers($0, as: UInt64.self, to: &$1) }
    case .i64: { appendIntegers($0, as: Int64.self, to: &$1) }
    default: nil
    }
  }

  /// The magnitude from which a single-precision number rounds to infinity; nil if none does.
  ///
  /// Half a step above the largest finite number.
  package var overflow: Float? {
    switch self {
    case .f16: 65_520
    case .bf16: Float(bitPattern: 0x7F7F_8000)
    default: nil
    }
  }

  /// The bytes of `floats` as elements of this type, rounded to nearest, ties to even; nil for types
  /// that are not written from floats.
  func narrowed(_ floats: UnsafeBufferPointer<Float>) -> [UInt8]? {
    switch self {
    case .f32: storedBytes(floats) { $0 }
    case .f16: storedBytes(floats) { Float16($0) }
    case .bf16: storedBytes(floats) { bfloat16($0) }
    case .f64: storedBytes(floats) { Double($0) }
    default: nil
    }
  }
}

/// The upper half of `value`'s bits, rounded to nearest, ties to even; NaN stays NaN.
private func bfloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  guard !value.isNaN else { return UInt16(bits >> 16) | 0x40 }
  return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
}

@inline(__always)
private func convert<Stored>(
  _ piece: UnsafeRawBufferPointer, _ destination: UnsafeMutableBufferPointer<Float>,
  _ position: Int, _ widen: (Stored) -> Float
) {
  let stored = piece.assumingMemoryBound(to: Stored.self)
  for i in stored.indices { destination[position + i] = widen(stored[i]) }
}

private func appendIntegers<Stored: FixedWidthInteger>(
  _ piece: UnsafeRawBufferPointer, as type: Stored.Type, to integers: inout [Int]
) -> Bool {
  for value in piece.assumingMemoryBound(to: Stored.self) {
    guard let integer = Int(exactly: value) else { return false }
    integers.append(integer)
  }
  return true
}

@inline(__always)
private func storedBytes<Stored>(
  _ floats: UnsafeBufferPointer<Float>, _ narrow: (Float) -> Stored
) -> [UInt8] {
  let byteCount = floats.count * MemoryLayout<Stored>.stride
  return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
    UnsafeMutableRawBufferPointer(buffer).withMemoryRebound(to: Stored.self) { stored in
      for i in floats.indices { stored[i] = narrow(floats[i]) }
    }
    initialized = byteCount
  }
}
