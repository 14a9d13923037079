extension ScorerKind {
  /// A prompt as the scorer's own tokenizer cleans it before it cuts it into words.
  ///
  /// OpenCLIP's sends captions through ftfy and resolves HTML's entities; transformers' does neither.
  func cleaned(_ prompt: String) -> String {
    switch self {
    case .hpsV2, .hpsV21: openCLIPCaption(prompt)
    default: prompt
    }
  }
}

/// Returns a caption as normalized by OpenCLIP: entities resolved, straight quotation marks,
/// ligatures and wide letters replaced, control characters removed.
///
/// Left out: ftfy's repair of text that was decoded wrongly, and entities by name beyond the few below.
package func openCLIPCaption(_ caption: String) -> String {
  let plain = straightened(caption.contains("<") ? caption : resolvingEntities(caption))
  // Twice, as there.
  return resolvingEntities(resolvingEntities(plain))
}

private func straightened(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x02BC, 0x2018...0x201B: result.append("'")
    case 0x201C...0x201F: result.append("\"")
    // Full-width forms of ASCII, and the space of their width.
    case 0xFF01...0xFF5E: result.append(Unicode.Scalar(UInt8(scalar.value - 0xFEE0)))
    case 0x3000: result.append(" ")
    case 0x00...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0xFEFF, 0xFFF9...0xFFFC: break
    default:
      result.append(contentsOf: (ligatures[scalar] ?? String(Character(scalar))).unicodeScalars)
    }
  }
  return String(result)
}

private let ligatures: [Unicode.Scalar: String] = [
  "\u{FB00}": "ff", "\u{FB01}": "fi", "\u{FB02}": "fl", "\u{FB03}": "ffi", "\u{FB04}": "ffl",
  "\u{FB05}": "\u{17F}t", "\u{FB06}": "st", "\u{0132}": "IJ", "\u{0133}": "ij",
]

private let entities: [Substring: String] = [
  "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{A0}",
  "hellip": "\u{2026}", "ndash": "\u{2013}", "mdash": "\u{2014}", "lsquo": "\u{2018}",
  "rsquo": "\u{2019}", "ldquo": "\u{201C}", "rdquo": "\u{201D}", "copy": "\u{A9}",
  "reg": "\u{AE}", "eacute": "\u{E9}",
]

private func resolvingEntities(_ text: String) -> String {
  var result = ""
  var rest = text[...]
  while let start = rest.firstIndex(of: "&") {
    result += rest[..<start]
    rest = rest[start...]
    // The longest that is known has eight characters.
    if let end = rest.prefix(10).firstIndex(of: ";"),
      let character = entity(rest[rest.index(after: start)..<end])
    {
      result += character
      rest = rest[rest.index(after: end)...]
    } else {
      result += "&"
      rest = rest.dropFirst()
    }
  }
  return result + rest
}

private func entity(_ name: Substring) -> String? {
  guard name.first == "#" else { return entities[name] }
  let digits = name.dropFirst()
  let isHexadecimal = digits.first == "x" || digits.first == "X"
  let number = isHexadecimal ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
  return number.flatMap(Unicode.Scalar.init).map { String(Character($0)) }
}
