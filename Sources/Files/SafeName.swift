/// A name from data or settings that may become part of a file's name.
///
/// Letters, digits, `.`, `_` and `-` of ASCII, not beginning with a dot, at most 100 of them: such a
/// name never leads to another folder, hides a file or is cut by a file system.
public struct SafeName: Hashable, Sendable, Comparable, CustomStringConvertible {
  public static let lengthLimit = 100

  public let text: String
  public var description: String { text }

  /// Nil if the text is no such name.
  ///
  /// - Parameter limit: the most bytes; a name that others are made from leaves room for them
  public init?(_ text: String, limit: Int = lengthLimit) {
    let isSafe = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isSafe, !text.isEmpty, !text.hasPrefix("."), text.utf8.count <= limit else {
      return nil
    }
    self.text = text
  }

  /// What such a name may be, for messages.
  public static let rule =
    "1 to \(lengthLimit) letters, digits, dots, underscores and hyphens, not starting with a dot"

  public static func < (left: SafeName, right: SafeName) -> Bool { left.text < right.text }
}
