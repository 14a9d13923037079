/// A name from data or settings that is safe as part of a file name.
///
/// At most 100 ASCII letters, digits, `.`, `_` and `-`, not beginning with a dot: such a name never
/// refers to another folder, hides a file or is truncated by a file system.
public struct SafeName: Hashable, Sendable, Comparable, CustomStringConvertible {
  public static let lengthLimit = 100

  public let text: String
  public var description: String { text }

  /// Nil if the text is not such a name.
  ///
  /// - Parameter limit: the maximum number of bytes; lower for a name that others are derived from
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

  /// The rule for such names, for messages.
  public static let rule =
    "1 to \(lengthLimit) letters, digits, dots, underscores and hyphens, not starting with a dot"

  public static func < (left: SafeName, right: SafeName) -> Bool { left.text < right.text }
}
