/// A text that equals only what has the same bytes, in the order of bytes.
///
/// A `String` equals any that Unicode counts as the same: an "é" in one scalar and one in two. As names of files
/// these are two, for all file systems that keep the bytes of a name.
public struct ExactText: Hashable, Comparable, Sendable {
  public let text: String

  public init(_ text: String) { self.text = text }

  public static func == (a: ExactText, b: ExactText) -> Bool {
    a.text.utf8.elementsEqual(b.text.utf8)
  }

  public static func < (a: ExactText, b: ExactText) -> Bool {
    a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension Sequence<String> {
  /// Sorted by bytes.
  public func sortedExactly() -> [String] { sorted { ExactText($0) < ExactText($1) } }
}
