/// A text that is compared and ordered bytewise.
///
/// A `String` equals any that Unicode considers the same: an "é" of one scalar and of two. As file
/// names these differ, on all file systems that preserve the bytes of a name.
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
