/// A number as an integer and its count of decimal places.
struct DecimalValue: Equatable {
  private let isNegative: Bool
  /// Without leading zeros; `0` alone for zero.
  private let digits: String
  private let scale: Int

  /// More bytes than any writer's widest decimal, 76 digits, needs.
  static let byteLimit = 64

  init(_ unscaled: Int64, scale: Int) {
    isNegative = unscaled < 0
    digits = String(unscaled.magnitude)
    self.scale = scale
  }

  /// Reads a two's complement number, highest byte first; nil if it is empty or too long.
  init?(bigEndian bytes: UnsafeRawBufferPointer, scale: Int) {
    guard let first = bytes.first, bytes.count <= Self.byteLimit else { return nil }
    isNegative = first >= 0x80
    var magnitude = [UInt8](bytes)
    if isNegative {
      for index in magnitude.indices { magnitude[index] = ~magnitude[index] }
      // Add one; the carry propagates through bytes of ones.
      for index in magnitude.indices.reversed() {
        magnitude[index] &+= 1
        if magnitude[index] != 0 { break }
      }
    }
    digits = Self.decimalDigits(of: magnitude)
    self.scale = scale
  }

  /// Divides by ten repeatedly, collecting the remainders.
  private static func decimalDigits(of magnitude: [UInt8]) -> String {
    var rest = Array(magnitude.drop { $0 == 0 })
    var digits: [UInt8] = []
    while !rest.isEmpty {
      var remainder = 0
      for index in rest.indices {
        let value = remainder << 8 | Int(rest[index])
        rest[index] = UInt8(value / 10)
        remainder = value % 10
      }
      digits.append(UInt8(ascii: "0") + UInt8(remainder))
      rest = Array(rest.drop { $0 == 0 })
    }
    return digits.isEmpty ? "0" : String(decoding: digits.reversed(), as: UTF8.self)
  }

  /// The nearest double.
  var number: Double { Double("\(isNegative ? "-" : "")\(digits)e-\(scale)") ?? .nan }

  /// With `scale` digits behind the point, such as `-0.50`.
  var text: String {
    let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
    let whole = padded.dropLast(scale)
    let sign = isNegative ? "-" : ""
    return scale == 0 ? "\(sign)\(whole)" : "\(sign)\(whole).\(padded.suffix(scale))"
  }
}
