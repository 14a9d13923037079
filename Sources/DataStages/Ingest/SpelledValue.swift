/// Numbers and booleans spelled as text.
enum SpelledValue {
  /// `1`, `0.5`, `true` and the like; nil for other texts.
  static func number(_ text: String) -> Double? {
    let text = trimmed(text)
    return Double(text) ?? truthWord(text).map { $0 ? 1 : 0 }
  }

  /// `true`, `1` and the like; nil for other texts.
  static func truth(_ text: String) -> Bool? {
    let text = trimmed(text)
    return truthWord(text) ?? Double(text).flatMap(truth)
  }

  /// Interprets a number as a boolean only if it is 0 or 1.
  static func truth(_ number: Double) -> Bool? {
    number == 1 ? true : number == 0 ? false : nil
  }

  private static func truthWord(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "true": true
    case "false": false
    default: nil
    }
  }

  static func trimmed(_ text: String) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
