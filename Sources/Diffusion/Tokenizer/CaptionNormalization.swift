import Foundation

/// Normalizes a caption as for the training of CLIP's vocabulary: Unicode normalization form C,
/// each scalar lower-cased individually (so no final sigma).
///
/// White space stays in place; its amount does not affect the words.
package func normalizedCaption(_ text: String) -> [Unicode.Scalar] {
  var scalars: [Unicode.Scalar] = []
  scalars.reserveCapacity(text.utf8.count)
  guard text.utf8.contains(where: { $0 >= 0x80 }) else {
    for scalar in text.unicodeScalars { appendLowercase(scalar, to: &scalars) }
    return scalars
  }
  for scalar in composed(Array(text.unicodeScalars)) { appendLowercase(scalar, to: &scalars) }
  return scalars
}

private func appendLowercase(_ scalar: Unicode.Scalar, to scalars: inout [Unicode.Scalar]) {
  if scalar.isASCII {
    let isUppercase = ("A"..."Z").contains(scalar)
    scalars.append(isUppercase ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar)
  } else {
    scalars.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
  }
}

/// Returns Unicode normalization form C.
///
/// Foundation does the work. Two additions: long runs of combining marks are ordered first, since
/// Foundation takes quadratic time to do so; and Hangul's final consonants, which it leaves out,
/// are composed.
package func composed(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
  let ordered = inCanonicalOrder(scalars)
  var result: [Unicode.Scalar] = []
  result.reserveCapacity(ordered.count)
  // These two bracket the final consonants; nothing composes with them, but Foundation assumes so.
  let parts = ordered.split(omittingEmptySubsequences: false) {
    $0 == Hangul.beforeFinals || $0 == Hangul.afterFinals
  }
  for part in parts {
    let string = String(String.UnicodeScalarView(part)).precomposedStringWithCanonicalMapping
    for scalar in string.unicodeScalars {
      if let last = result.last, let syllable = Hangul.syllable(last, final: scalar) {
        result[result.count - 1] = syllable
      } else {
        result.append(scalar)
      }
    }
    if part.endIndex < ordered.endIndex { result.append(ordered[part.endIndex]) }
  }
  return result
}

/// Returns the scalars with every long run of combining marks sorted by combining class.
private func inCanonicalOrder(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
  let longestKeptRun = 32
  var ordered = scalars
  var start = 0
  while start < ordered.count {
    var end = start
    while end < ordered.count, combiningClass(ordered[end]) != 0 { end += 1 }
    if end - start > longestKeptRun {
      // By class, then by position: marks of one class keep their order.
      let order = (start..<end).map { (combiningClass(scalars[$0]), $0) }.sorted { $0 < $1 }
      for (place, (_, source)) in zip(start..<end, order) { ordered[place] = scalars[source] }
    }
    start = end + 1
  }
  return ordered
}

private func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
  // The first combining mark is U+0300.
  scalar.value < 0x300 ? 0 : scalar.properties.canonicalCombiningClass.rawValue
}

/// The arithmetic of Hangul syllables (The Unicode Standard, section 3.12).
private enum Hangul {
  static let beforeFinals: Unicode.Scalar = "\u{11A7}"
  static let afterFinals: Unicode.Scalar = "\u{11C3}"

  /// Returns the syllable that ends in `final`, if `syllable` has no final consonant.
  static func syllable(_ syllable: Unicode.Scalar, final: Unicode.Scalar) -> Unicode.Scalar? {
    guard beforeFinals < final, final < afterFinals, (0xAC00...0xD7A3).contains(syllable.value),
      (syllable.value - 0xAC00) % 28 == 0
    else { return nil }
    return Unicode.Scalar(syllable.value + final.value - beforeFinals.value)
  }
}
