/// Splits a normalized caption into the words for byte-pair encoding.
///
/// Equivalent to CLIP's expression:
///
///     <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
///
/// The two markers are split into three parts `<|`, `startoftext`, `|>`: a caption's normalized
/// text never makes a special token, only the exact spelling does, and that is matched before
/// normalization.
package func forEachWord(
  of scalars: [Unicode.Scalar], _ body: (ArraySlice<Unicode.Scalar>) -> Void
) {
  let kinds = scalars.map(ScalarKind.init)
  func end(ofRunFrom start: Int, _ kind: ScalarKind) -> Int {
    kinds[start...].firstIndex { $0 != kind } ?? kinds.count
  }
  var start = 0
  while start < scalars.count {
    let rest = scalars[start...]
    switch kinds[start] {
    case .space: start += 1
    case .number:
      body(rest.prefix(1))
      start += 1
    case .letter:
      let end = end(ofRunFrom: start, .letter)
      body(scalars[start..<end])
      start = end
    case .other:
      let ends = endsOfSpecialWords(rest) ?? [end(ofRunFrom: start, .other)]
      for end in ends {
        body(scalars[start..<end])
        start = end
      }
    }
  }
}

/// Returns the ends of the parts of a contraction or marker that `rest` begins with, if any.
private func endsOfSpecialWords(_ rest: ArraySlice<Unicode.Scalar>) -> [Int]? {
  switch rest.first {
  case "'":
    guard let contraction = contractions.first(where: rest.starts) else { return nil }
    return [rest.startIndex + contraction.count]
  case "<":
    guard let marker = markers.first(where: rest.starts) else { return nil }
    let end = rest.startIndex + marker.count
    return [rest.startIndex + 2, end - 2, end]
  default: return nil
  }
}

private let contractions: [[Unicode.Scalar]] =
  ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }

private let markers: [[Unicode.Scalar]] =
  ["<|startoftext|>", "<|endoftext|>"].map { Array($0.unicodeScalars) }

private enum ScalarKind {
  case letter
  case number
  case space
  case other

  init(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      switch scalar {
      case "a"..."z", "A"..."Z": self = .letter
      case "0"..."9": self = .number
      case " ", "\t"..."\r": self = .space
      default: self = .other
      }
      return
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default: self = scalar.properties.isWhitespace ? .space : .other
    }
  }
}
