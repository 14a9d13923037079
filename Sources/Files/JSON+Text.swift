extension JSON {
  public enum Style: Sendable {
    /// No spaces, one line.
    case compact
    /// One member or element per line, indented by two spaces.
    case pretty
  }

  /// Returns the value as JSON text (RFC 8259): keys in their order, the same bytes every time.
  ///
  /// A `number` is written with the fewest digits that read back as the same `Double` and always
  /// with a point or an exponent. JSON has no infinity and no NaN: they are written as `null`.
  public func text(_ style: Style = .compact) -> String {
    var writer = JSONWriter(style: style)
    writer.write(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

private struct JSONWriter {
  let style: JSON.Style
  var bytes: [UInt8] = []
  private var depth = 0

  init(style: JSON.Style) { self.style = style }

  mutating func write(_ value: JSON) {
    switch value {
    case .null: bytes += "null".utf8
    case .bool(let value): bytes += (value ? "true" : "false").utf8
    case .integer(let value): bytes += String(value).utf8
    case .unsigned(let value): bytes += String(value).utf8
    case .number(let value): bytes += (value.isFinite ? value.description : "null").utf8
    case .string(let value): write(value)
    case .array(let elements):
      writeList("[", "]", elements) { writer, element in writer.write(element) }
    case .object(let object):
      writeList("{", "}", Array(object)) { writer, member in
        writer.write(member.0)
        writer.bytes += (writer.style == .pretty ? ": " : ":").utf8
        writer.write(member.1)
      }
    }
  }

  private mutating func writeList<Item>(
    _ opening: String, _ closing: String, _ items: [Item], _ body: (inout JSONWriter, Item) -> Void
  ) {
    bytes += opening.utf8
    depth += 1
    for (index, item) in items.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      breakLine()
      body(&self, item)
    }
    depth -= 1
    if !items.isEmpty { breakLine() }
    bytes += closing.utf8
  }

  private mutating func breakLine() {
    guard style == .pretty else { return }
    bytes.append(0x0A)
    bytes += repeatElement(UInt8(ascii: " "), count: 2 * depth)
  }

  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0x08: bytes += "\\b".utf8
      case 0x09: bytes += "\\t".utf8
      case 0x0A: bytes += "\\n".utf8
      case 0x0C: bytes += "\\f".utf8
      case 0x0D: bytes += "\\r".utf8
      case 0x00..<0x20: bytes += "\\u00\([byte].hexadecimal)".utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
