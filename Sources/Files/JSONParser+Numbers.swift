extension JSONParser {
  mutating func parseNumber() throws(Failure) -> JSON {
    let start = position
    let isNegative = next == UInt8(ascii: "-")
    if isNegative || next == UInt8(ascii: "+") { position += 1 }
    if dialect == .json5, skip("0x") || skip("0X") {
      return try parseHexadecimal(isNegative: isNegative, start: start)
    }
    if dialect == .python, skip("Infinity") { return .number(-.infinity) }
    guard next != UInt8(ascii: "I"), next != UInt8(ascii: "N") else {
      throw Failure(offset: start, problem: "Infinity and NaN are not allowed")
    }
    let digits = position
    let wholeCount = skipDigits()
    guard wholeCount <= 1 || bytes[digits] != UInt8(ascii: "0") else {
      throw Failure(offset: start, problem: "a number must not have a leading zero")
    }
    guard wholeCount > 0 || dialect == .json5 else { throw digitMissing }
    let hasPoint = skip(".")
    let fractionCount = hasPoint ? skipDigits() : 0
    guard !hasPoint || fractionCount > 0 || (dialect == .json5 && wholeCount > 0) else {
      throw digitMissing
    }
    guard hasPoint || wholeCount > 0 else { throw digitMissing }
    let hasExponent = skip("e") || skip("E")
    if hasExponent {
      _ = skip("+") || skip("-")
      guard skipDigits() > 0 else { throw digitMissing }
    }
    guard hasPoint || hasExponent else {
      return try wholeNumber(digits..<position, radix: 10, isNegative: isNegative, start: start)
    }
    let text = String(decoding: bytes[digits..<position], as: UTF8.self)
    guard let magnitude = Double(text), magnitude.isFinite else {
      throw Failure(offset: start, problem: "the number \(text)" + JSONError.isTooLarge)
    }
    return .number(isNegative ? -magnitude : magnitude)
  }

  private var digitMissing: Failure { failure("expected a digit, found \(found)") }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    return position - start
  }

  private mutating func parseHexadecimal(isNegative: Bool, start: Int) throws(Failure) -> JSON {
    let digits = position
    while let byte = next, hexadecimalDigit(byte) != nil { position += 1 }
    guard position > digits else { throw digitMissing }
    return try wholeNumber(digits..<position, radix: 16, isNegative: isNegative, start: start)
  }

  /// Parses an exact integer: beyond 64 bits only what a `Double` represents without loss.
  ///
  /// Tokenizer settings write "no limit" as all digits of a large `Double`.
  private func wholeNumber(
    _ digits: Range<Int>, radix: UInt64, isNegative: Bool, start: Int
  ) throws(Failure) -> JSON {
    if let magnitude = magnitude(digits, radix: radix) {
      guard isNegative else { return JSON(magnitude) }
      if magnitude == 0 { return .number(-0.0) }
      if magnitude <= Int.min.magnitude { return .integer(Int(truncatingIfNeeded: 0 &- magnitude)) }
    }
    let text = String(decoding: bytes[digits], as: UTF8.self)
    if let large = UInt128(text, radix: Int(radix)), let value = Double(exactly: large) {
      return .number(isNegative ? -value : value)
    }
    if dialect == .python, let value = Double(text), value.isFinite {
      return .number(isNegative ? -value : value)
    }
    throw Failure(offset: start, problem: "the integer \(text) does not fit in 64 bits")
  }

  /// Returns the value of `digits`; nil if it exceeds 64 bits.
  private func magnitude(_ digits: Range<Int>, radix: UInt64) -> UInt64? {
    var value: UInt64 = 0
    for index in digits {
      guard let digit = hexadecimalDigit(bytes[index]) else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return value
  }

  func hexadecimalDigit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
