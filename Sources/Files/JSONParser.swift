/// Variants of JSON syntax.
public enum JSONDialect: Sendable {
  /// RFC 8259.
  case json
  /// JSON5 (json5.org): comments, trailing commas, single quotes, unquoted keys, hexadecimal
  /// numbers, leading plus signs and points. Not supported: escapes in unquoted keys.
  case json5
  /// The output of Python's `json`: JSON with `NaN`, `Infinity` and integers of any size, which are
  /// rounded to a `Double` if they exceed 64 bits.
  case python
}

extension JSON {
  /// Parses a whole text.
  ///
  /// Beyond the grammar it rejects what parsers disagree on: duplicate keys, lone surrogates,
  /// invalid UTF-8, a byte order mark (JSON only), `Infinity` and `NaN` and integers that would
  /// lose digits (except in ``JSONDialect/python``), numbers too large for a `Double`, and nesting
  /// deeper than `maximumDepth`.
  ///
  /// - Parameter source: the text's name in errors, usually its path.
  public init(
    parsing bytes: [UInt8], dialect: JSONDialect = .json, source: String = "JSON",
    maximumDepth: Int = 64
  ) throws(JSONError) {
    var parser = JSONParser(bytes: bytes, dialect: dialect, maximumDepth: maximumDepth)
    do throws(JSONParser.Failure) {
      self = try parser.parse()
    } catch {
      let (line, column) = Self.place(of: error.offset, in: bytes)
      throw .syntax(source: source, line: line, column: column, problem: error.problem)
    }
  }

  public init(parsing text: String, dialect: JSONDialect = .json, source: String = "JSON")
    throws(JSONError)
  {
    try self.init(parsing: Array(text.utf8), dialect: dialect, source: source)
  }

  /// Parses the file at `path`, whose size is checked before reading.
  ///
  /// - Parameter mayHaveMark: whether to skip a byte order mark
  public init(
    contentsOf path: String, dialect: JSONDialect = .json, maximumSize: Int = 256 << 20,
    mayHaveMark: Bool = false
  ) throws {
    let file = try RegularFile(path: path)
    guard file.size <= maximumSize else {
      throw JSONError.tooLarge(source: path, size: file.size, limit: maximumSize)
    }
    var bytes = try file.readAll()
    if mayHaveMark, bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
    do {
      self = try JSON(parsing: bytes, dialect: dialect, source: path)
    } catch {
      try file.requireNoMistake(expected: "a JSON file", isText: true)
      throw error
    }
  }

  private static func place(of offset: Int, in bytes: [UInt8]) -> (line: Int, column: Int) {
    var line = 1
    var column = 1
    for byte in bytes.prefix(offset) {
      if byte == UInt8(ascii: "\n") {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {  // every character once, by its first byte
        column += 1
      }
    }
    return (line, column)
  }
}

/// A recursive-descent parser; the nesting limit bounds its recursion.
struct JSONParser {
  struct Failure: Error {
    let offset: Int
    let problem: String
  }

  let bytes: [UInt8]
  let dialect: JSONDialect
  let maximumDepth: Int
  var position = 0
  private var depth = 0

  init(bytes: [UInt8], dialect: JSONDialect, maximumDepth: Int) {
    self.bytes = bytes
    self.dialect = dialect
    self.maximumDepth = maximumDepth
  }

  /// The byte at `position`; nil at the end.
  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func parse() throws(Failure) -> JSON {
    try checkEncoding()
    try skipSpace()
    let value = try parseValue()
    try skipSpace()
    guard next == nil else { throw failure("unexpected \(found) after the value") }
    return value
  }

  private mutating func parseValue() throws(Failure) -> JSON {
    guard let byte = next else { throw failure("expected a value, found the end of the text") }
    switch byte {
    case UInt8(ascii: "{"):
      return try nested { (parser) throws(Failure) in try parser.parseObject() }
    case UInt8(ascii: "["):
      return try nested { (parser) throws(Failure) in try parser.parseArray() }
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "'") where dialect == .json5: return .string(try parseString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    case UInt8(ascii: "+"), UInt8(ascii: "."): if dialect == .json5 { return try parseNumber() }
    case UInt8(ascii: "t"): if skip("true") { return .bool(true) }
    case UInt8(ascii: "f"): if skip("false") { return .bool(false) }
    case UInt8(ascii: "n"): if skip("null") { return .null }
    case UInt8(ascii: "N") where skip("NaN"), UInt8(ascii: "I") where skip("Infinity"):
      if dialect == .python { return .number(byte == UInt8(ascii: "N") ? .nan : .infinity) }
      throw failure("Infinity and NaN are not allowed")
    default: break
    }
    throw failure("expected a value, found \(found)")
  }

  private mutating func nested(
    _ body: (inout JSONParser) throws(Failure) -> JSON
  ) throws(Failure) -> JSON {
    guard depth < maximumDepth else {
      throw failure("brackets are nested more than \(maximumDepth) levels deep")
    }
    depth += 1
    position += 1
    let value = try body(&self)
    depth -= 1
    return value
  }

  private mutating func parseArray() throws(Failure) -> JSON {
    var elements: [JSON] = []
    try skipSpace()
    if skip("]") { return .array([]) }
    while true {
      elements.append(try parseValue())
      if try parseSeparator(closing: "]") { return .array(elements) }
    }
  }

  private mutating func parseObject() throws(Failure) -> JSON {
    var object = JSON.Object()
    try skipSpace()
    if skip("}") { return .object(object) }
    while true {
      let start = position
      let key = try parseKey()
      try skipSpace()
      guard skip(":") else { throw failure("expected ':' after a key, found \(found)") }
      try skipSpace()
      guard object.append(key, try parseValue()) else {
        throw Failure(offset: start, problem: JSONError.duplicateKey + JSON.string(key).text())
      }
      if try parseSeparator(closing: "}") { return .object(object) }
    }
  }

  private mutating func parseKey() throws(Failure) -> String {
    if next == UInt8(ascii: "\"") || (dialect == .json5 && next == UInt8(ascii: "'")) {
      return try parseString()
    }
    guard dialect == .json5, let key = try parseIdentifier() else {
      throw failure("expected a key in quotes, found \(found)")
    }
    return key
  }

  /// Skips the comma after an element, or the closing bracket and then returns true.
  private mutating func parseSeparator(closing: StaticString) throws(Failure) -> Bool {
    try skipSpace()
    if skip(closing) { return true }
    guard skip(",") else { throw failure("expected ',' or '\(closing)', found \(found)") }
    try skipSpace()
    return dialect == .json5 && skip(closing)
  }
}

// MARK: - Tokens

extension JSONParser {
  /// Skips `token` if it is next.
  mutating func skip(_ token: StaticString) -> Bool {
    let count = token.utf8CodeUnitCount
    guard count <= bytes.count - position else { return false }
    for i in 0..<count where bytes[position + i] != token.utf8Start[i] { return false }
    position += count
    return true
  }

  func failure(_ problem: String) -> Failure { Failure(offset: position, problem: problem) }

  /// Describes what is at `position`, for messages.
  var found: String {
    guard let scalar = scalar(at: position) else { return "the end of the text" }
    guard scalar.properties.generalCategory != .control, scalar.value > 0x20 else {
      return "the character U+\(String(scalar.value, radix: 16, uppercase: true))"
    }
    return "'\(scalar)'"
  }

  /// Returns the character at `offset`; the text's encoding has been checked.
  func scalar(at offset: Int) -> Unicode.Scalar? {
    guard offset < bytes.count else { return nil }
    var decoder = UTF8()
    var iterator = bytes[offset...].prefix(4).makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
    return scalar
  }

  private mutating func checkEncoding() throws(Failure) {
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw Failure(
        offset: error.byteOffsets.lowerBound, problem: "the text is not valid UTF-8 here")
    }
    guard dialect == .json5 || !skip("\u{FEFF}") else {
      throw Failure(offset: 0, problem: "the text starts with a byte order mark; remove it")
    }
  }

  mutating func skipSpace() throws(Failure) {
    while let byte = next {
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      case _ where dialect != .json5: return
      case 0x0B, 0x0C: position += 1
      case UInt8(ascii: "/"): try skipComment()
      case 0x80...:
        guard let scalar = scalar(at: position), Self.isSpace(scalar) else { return }
        position += scalar.utf8.count
      default: return
      }
    }
  }

  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    // Byte order mark, line and paragraph separator, and the Unicode category Zs.
    [0xFEFF, 0x2028, 0x2029].contains(scalar.value)
      || scalar.properties.generalCategory == .spaceSeparator
  }

  private mutating func skipComment() throws(Failure) {
    let start = position
    if skip("//") {
      while let byte = next, byte != 0x0A, byte != 0x0D { position += 1 }
    } else if skip("/*") {
      while !skip("*/") {
        guard next != nil else { throw Failure(offset: start, problem: "unterminated comment") }
        position += 1
      }
    } else {
      throw failure("a comment starts with // or /*")
    }
  }

  /// Parses an unquoted key; nil if none begins here.
  private mutating func parseIdentifier() throws(Failure) -> String? {
    let start = position
    while let scalar = scalar(at: position) {
      let properties = scalar.properties
      let belongs =
        scalar == "$" || scalar == "_" || properties.isIDStart
        || (position > start && properties.isIDContinue)
      guard belongs else { break }
      position += scalar.utf8.count
    }
    if next == UInt8(ascii: "-"), position > start {
      throw Failure(offset: start, problem: "a key with a hyphen needs quotes")
    }
    return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
  }
}
