/// A regular expression by which PEFT assigns ranks and alphas to modules.
///
/// It names a module if it matches its whole path, or the rest of it after one of its dots. Of
/// Python's syntax, what such patterns consist of: characters, `.`, `\d`, `\w` and escaped
/// characters, each of which `*`, `+` and `?` may follow, `^` in front and `$` at the end.
///
/// - Source: peft's `get_pattern_key`, `re.match(rf"(.*\.)?({pattern})$", path)`
package struct ModulePattern {
  private enum Element {
    case any
    case digit
    case word
    case byte(UInt8)

    func matches(_ byte: UInt8) -> Bool {
      switch self {
      case .any: true
      case .digit: Self.digits.contains(byte)
      case .word: Self.digits.contains(byte) || Self.letters.contains(byte | 0x20) || byte == 0x5F
      case .byte(let expected): byte == expected
      }
    }

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    private static let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
  }

  private struct Item {
    var element: Element
    var isOptional = false
    var mayRepeat = false
    /// As few times as possible, which makes no difference to what matches.
    var isLazy = false

    var isQuantified: Bool { isOptional || mayRepeat }
  }

  private var items: [Item] = []
  /// Whether only the whole path may match.
  private let isAnchored: Bool

  /// - Returns: nil if the pattern contains more of the syntax
  package init?(_ text: String) {
    var rest = text[...]
    isAnchored = rest.hasPrefix("^")
    if isAnchored { rest.removeFirst() }
    while let character = rest.popFirst() {
      switch character {
      case ".": items.append(Item(element: .any))
      case "\\":
        guard let escaped = rest.popFirst() else { return nil }
        switch escaped {
        case "d": items.append(Item(element: .digit))
        case "w": items.append(Item(element: .word))
        case _ where escaped.isLetter || escaped.isNumber: return nil
        default: items += escaped.utf8.map { Item(element: .byte($0)) }
        }
      case "*", "+", "?":
        guard var item = items.popLast() else { return nil }
        if item.isQuantified {
          guard character == "?", !item.isLazy else { return nil }
          item.isLazy = true
        } else {
          item.isOptional = character != "+"
          item.mayRepeat = character != "?"
        }
        items.append(item)
      case "$" where rest.isEmpty: break
      case "^", "$", "(", ")", "[", "]", "{", "}", "|": return nil
      default: items += character.utf8.map { Item(element: .byte($0)) }
      }
    }
  }

  /// Whether it names the module with this path.
  package func matches(_ path: String) -> Bool {
    let path = Array(path.utf8)
    func mayBegin(at place: Int) -> Bool {
      place == 0 || !isAnchored && path[place - 1] == UInt8(ascii: ".")
    }
    guard items.contains(where: \.isQuantified) else {
      let start = path.count - items.count
      return start >= 0 && mayBegin(at: start)
        && zip(items, path[start...]).allSatisfy { $0.element.matches($1) }
    }
    // Whether each item may come next, all of them at once: so no pattern takes long.
    var next = [Bool](repeating: false, count: items.count + 1)
    func skipOptional() {
      for index in items.indices where next[index] && items[index].isOptional {
        next[index + 1] = true
      }
    }
    for (place, byte) in path.enumerated() {
      if mayBegin(at: place) { next[0] = true }
      skipOptional()
      var following = [Bool](repeating: false, count: next.count)
      for (index, item) in items.enumerated() where next[index] && item.element.matches(byte) {
        following[index + 1] = true
        if item.mayRepeat { following[index] = true }
      }
      next = following
    }
    skipOptional()
    return next[items.count]
  }
}
