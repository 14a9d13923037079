extension JSONParser {
  /// Parses a string whose opening quote is next.
  mutating func parseString() throws(Failure) -> String {
    let start = position
    let quote = bytes[position]
    position += 1
    var text: [UInt8] = []
    var runStart = position  // bytes from here on stand for themselves
    while let byte = next {
      switch byte {
      case quote:
        defer { position += 1 }
        let run = bytes[runStart..<position]
        guard !text.isEmpty else { return String(decoding: run, as: UTF8.self) }
        return String(decoding: text + run, as: UTF8.self)
      case UInt8(ascii: "\\"):
        text += bytes[runStart..<position]
        try parseEscape(into: &text)
        runStart = position
      case 0x0A, 0x0D,
        0x00..<0x20 where dialect != .json5:
        throw failure("\(found) must be escaped with a backslash inside a string")
      default: position += 1
      }
    }
    throw Failure(offset: start, problem: "unterminated string")
  }

  private mutating func parseEscape(into text: inout [UInt8]) throws(Failure) {
    let start = position
    position += 1
    guard let letter = next else { throw failure("the text ends inside a string") }
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): text += try parseUnicodeEscape(start: start).utf8
    case _ where dialect == .json5: try parseJSON5Escape(letter, start: start, into: &text)
    default: throw unknownEscape(start)
    }
  }

  private mutating func parseJSON5Escape(
    _ letter: UInt8, start: Int, into text: inout [UInt8]
  ) throws(Failure) {
    switch letter {
    case UInt8(ascii: "v"): text.append(0x0B)
    case UInt8(ascii: "0"):
      if let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
        throw unknownEscape(start)
      }
      text.append(0)
    case UInt8(ascii: "1")...UInt8(ascii: "9"): throw unknownEscape(start)
    case UInt8(ascii: "x"):
      guard let scalar = Unicode.Scalar(try parseHexadecimalDigits(count: 2, start: start)) else {
        throw unknownEscape(start)
      }
      text += scalar.utf8
    case 0x0A: break  // the string continues in the next line
    case 0x0D: _ = skip("\n")
    default:
      position -= 1
      guard let scalar = scalar(at: position) else { throw unknownEscape(start) }
      position += scalar.utf8.count
      // A line or paragraph separator continues the string, too; any other character stands for
      // itself.
      if scalar.value != 0x2028, scalar.value != 0x2029 { text += scalar.utf8 }
    }
  }

  /// Parses the character of `\uXXXX`, or of two that form a surrogate pair.
  private mutating func parseUnicodeEscape(start: Int) throws(Failure) -> Unicode.Scalar {
    let first = try parseHexadecimalDigits(count: 4, start: start)
    if let scalar = Unicode.Scalar(first) { return scalar }
    if first < 0xDC00, skip("\\u") {
      let second = try parseHexadecimalDigits(count: 4, start: start)
      if (0xDC00...0xDFFF).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      {
        return scalar
      }
    }
    throw Failure(offset: start, problem: "unpaired surrogate, which is not a character")
  }

  private mutating func parseHexadecimalDigits(count: Int, start: Int) throws(Failure) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let digit = next.flatMap(hexadecimalDigit) else {
        throw Failure(offset: start, problem: "expected \(count) hexadecimal digits")
      }
      value = value << 4 | digit
      position += 1
    }
    return value
  }

  private func unknownEscape(_ start: Int) -> Failure {
    Failure(offset: start, problem: "unknown escape in a string; write a backslash as \\\\")
  }
}
