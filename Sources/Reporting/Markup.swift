/// `text` with the characters that mean something in HTML written as entities.
///
/// Control characters, which HTML forbids, become U+FFFD.
func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "\t", "\n", "\r": result.unicodeScalars.append(scalar)
    default:
      let isControl = scalar.properties.generalCategory == .control
      result.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
    }
  }
  return result
}

/// An element around `content`, which is markup already.
///
/// - Parameter label: of a table's cell, what its column is called: narrow pages show it beside the cell
func element(
  _ name: String, class style: String? = nil, label: String? = nil, _ content: String
) -> String {
  let attribute = style.map { " class=\"\($0)\"" } ?? ""
  let labelling = label.map { $0.isEmpty ? "" : " data-label=\"\(escaped($0))\"" } ?? ""
  return "<\(name)\(attribute)\(labelling)>\(content)</\(name)>\n"
}

/// Bytes in base 64 (RFC 4648), for `data:` addresses.
func base64(_ bytes: [UInt8]) -> String {
  let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  text.reserveCapacity((bytes.count + 2) / 3 * 4)
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let group = bytes[start..<min(start + 3, bytes.count)]
    let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
    for place in 0..<4 {
      text.append(place <= group.count ? digits[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
    }
  }
  return String(decoding: text, as: UTF8.self)
}

/// The address of a file beside the page: whatever has a meaning in addresses is encoded (RFC 3986), so that
/// it can be no other kind of address.
func relativeAddress(_ path: String) -> String {
  let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/".utf8)
  let digits = Array("0123456789ABCDEF".utf8)
  let bytes = path.utf8.flatMap { byte in
    plain.contains(byte)
      ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }
  let address = String(decoding: bytes, as: UTF8.self)
  // Two slashes at the beginning would name a server.
  return address.hasPrefix("/") ? ".\(address)" : address
}
