/// The storage type of a tensor's elements, under the names of the safetensors format and in its
/// order.
public enum ElementType: String, CaseIterable, Sendable {
  case bool = "BOOL"
  case f4 = "F4"
  case f6e2m3 = "F6_E2M3"
  case f6e3m2 = "F6_E3M2"
  case u8 = "U8"
  case i8 = "I8"
  case f8e5m2 = "F8_E5M2"
  case f8e4m3 = "F8_E4M3"
  case f8e8m0 = "F8_E8M0"
  case f8e4m3fnuz = "F8_E4M3FNUZ"
  case f8e5m2fnuz = "F8_E5M2FNUZ"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  /// Bits of one element.
  public var bitCount: Int {
    switch self {
    case .f4: 4
    case .f6e2m3, .f6e3m2: 6
    case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }
}

extension ElementType: Comparable {
  /// In the order of the cases.
  public static func < (a: ElementType, b: ElementType) -> Bool {
    allCases.first { $0 == a || $0 == b } == a && a != b
  }
}

/// The name, element type and shape of one tensor of a checkpoint.
public struct TensorEntry: Equatable, Sendable {
  public let name: String
  public let type: ElementType
  /// Outermost dimension first; empty for a scalar.
  public let shape: [Int]
  public let elementCount: Int
  public let byteCount: Int

  /// Nil if a dimension is negative, the size overflows (zeros left out, so that any order of
  /// multiplying is safe), or its bits do not fill whole bytes.
  public init?(name: String, type: ElementType, shape: [Int]) {
    var bits = type.bitCount
    for dimension in shape {
      let (product, overflow) = bits.multipliedReportingOverflow(by: max(1, dimension))
      guard dimension >= 0, !overflow else { return nil }
      bits = product
    }
    if shape.contains(0) { bits = 0 }
    guard bits.isMultiple(of: 8) else { return nil }
    self.name = name
    self.type = type
    self.shape = shape
    elementCount = bits / type.bitCount
    byteCount = bits / 8
  }
}
