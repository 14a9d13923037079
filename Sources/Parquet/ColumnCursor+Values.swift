extension ColumnCursor {
  /// The row's value as text; nil for null.
  ///
  /// A UUID has its usual form, an integer its digits.
  ///
  /// - Throws: `ParquetError.value` for bytes that are not UTF-8, `.typeMismatch` for columns that
  ///   hold no text
  public func text() throws(ParquetError) -> String? {
    switch column.meaning {
    case .text:
      guard let bytes else { return nil }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw damaged("\(bytes.count) bytes that are not UTF-8")
      }
      return text
    case .uuid: return bytes.map(Self.uuidText)
    case .decimal: return try decimal()?.text
    case .integer(isSigned: false): return unsigned.map { String($0) }
    case .integer(isSigned: true): return signed.map { String($0) }
    case .nothing: return nil
    default: throw mismatch("a text")
    }
  }

  /// The row's value as an integer, nil for null; timestamps in the unit of the logical type.
  public func integer() throws(ParquetError) -> Int64? {
    guard column.physicalType == .int32 || column.physicalType == .int64 else {
      throw mismatch("an integer")
    }
    guard column.meaning == .integer(isSigned: false), let unsigned else { return signed }
    guard let integer = Int64(exactly: unsigned) else {
      throw damaged("\(unsigned) does not fit in a signed 64-bit integer")
    }
    return integer
  }

  /// The row's value as a number, nil for null; a boolean is 1 or 0.
  ///
  /// - Throws: `ParquetError.typeMismatch` for columns that hold no numbers
  public func number() throws(ParquetError) -> Double? {
    switch column.meaning {
    case .truth: return try truth().map { $0 ? 1 : 0 }
    case .integer(isSigned: false): return unsigned.map { Double($0) }
    case .integer(isSigned: true): return signed.map { Double($0) }
    case .decimal: return try decimal()?.number
    case .half:
      let bits = bytes?.loadUnaligned(as: UInt16.self).littleEndian
      return bits.map { Double(Self.half($0)) }
    case .float:
      let bits = bytes?.loadUnaligned(as: UInt32.self).littleEndian
      return bits.map { Double(Float(bitPattern: $0)) }
    case .double:
      let bits = bytes?.loadUnaligned(as: UInt64.self).littleEndian
      return bits.map { Double(bitPattern: $0) }
    case .nothing: return nil
    case .text, .uuid, .other: throw mismatch("a number")
    }
  }

  /// The row's boolean; nil for null.
  public func truth() throws(ParquetError) -> Bool? {
    guard column.meaning == .truth else { throw mismatch("a boolean") }
    return bytes.map { $0[0] != 0 }
  }

  // MARK: - Representations

  private var signed: Int64? {
    guard let bytes else { return nil }
    if bytes.count == 8 { return bytes.loadUnaligned(as: Int64.self).littleEndian }
    return Int64(bytes.loadUnaligned(as: Int32.self).littleEndian)
  }

  private var unsigned: UInt64? {
    guard let bytes else { return nil }
    if bytes.count == 8 { return bytes.loadUnaligned(as: UInt64.self).littleEndian }
    return UInt64(bytes.loadUnaligned(as: UInt32.self).littleEndian)
  }

  private func decimal() throws(ParquetError) -> DecimalValue? {
    guard let bytes, case .decimal(let scale) = column.meaning else { return nil }
    switch column.physicalType {
    case .int32, .int64: return signed.map { DecimalValue($0, scale: scale) }
    default:
      guard let value = DecimalValue(bigEndian: bytes, scale: scale) else {
        throw damaged("a decimal of \(bytes.count) bytes")
      }
      return value
    }
  }

  /// The value of IEEE half-precision bits.
  private static func half(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 31)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
      return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
    }
  }

  /// 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
  private static func uuidText(_ bytes: UnsafeRawBufferPointer) -> String {
    var text: [UInt8] = []
    let digits = Array("0123456789abcdef".utf8)
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func damaged(_ reason: String) -> ParquetError {
    .value(path: path, rowGroup: rowGroup, column: column.name, row: row, reason: reason)
  }

  private func mismatch(_ expected: String) -> ParquetError {
    .typeMismatch(path: path, column: column.name, expected: expected, found: column.typeName)
  }
}
