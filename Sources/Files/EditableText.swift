import Glibc

/// A text that this program writes where a user may edit it, such as a list to be trimmed by hand.
///
/// Its last line, a comment, holds the SHA-256 of what stands above. A file without it, or with another,
/// was edited or is not this program's: it is kept under another name when the text is written again.
public struct EditableText {
  public enum Comment {
    /// `# ...`
    case hash
    /// `<!-- ... -->`
    case markup
  }

  private let bytes: [UInt8]
  private let comment: Comment

  public init(_ text: String, comment: Comment) {
    self.comment = comment
    bytes = Array(text.hasSuffix("\n") ? text.utf8 : (text + "\n").utf8)
  }

  /// Writes the text, complete or not at all.
  ///
  /// - Returns: the path that what was there now has, if it was not as this program wrote it; nil if
  ///   nothing had to be kept
  @discardableResult
  public func write(to path: String) throws(FileError) -> String? {
    let whole = bytes + Self.seal(of: bytes[...], comment)
    var kept: String?
    if PathKind(of: path) == .file {
      let present = try RegularFile(path: path).readAll()
      if present == whole { return nil }
      if !Self.isSealed(present, comment) { kept = try Self.keep(path) }
    }
    try AtomicFile.replace(path, with: whole)
    return kept
  }

  /// Whether `name` is one that a kept file of `original` has.
  public static func isKept(_ name: String, of original: String) -> Bool {
    guard name.hasPrefix(original + ".kept") else { return false }
    let rest = name.dropFirst(original.count + ".kept".count)
    return rest.isEmpty || rest.first == "-" && Int(rest.dropFirst()) != nil
  }

  private static func keep(_ path: String) throws(FileError) -> String {
    var status = stat()
    var name = "\(path).kept"
    var number = 1
    while lstat(name, &status) == 0 {
      number += 1
      name = "\(path).kept-\(number)"
    }
    guard rename(path, name) == 0 else { throw .systemFailure("rename", path) }
    return name
  }

  private static func seal(of text: ArraySlice<UInt8>, _ comment: Comment) -> [UInt8] {
    let words = "sha256 of what stands above: \(SHA256.hexDigest(of: Array(text)))"
    return switch comment {
    case .hash: Array("# \(words)\n".utf8)
    case .markup: Array("<!-- \(words) -->\n".utf8)
    }
  }

  private static func isSealed(_ bytes: [UInt8], _ comment: Comment) -> Bool {
    let length = seal(of: [], comment).count
    guard bytes.count >= length else { return false }
    let text = bytes.dropLast(length)
    return bytes.suffix(length).elementsEqual(seal(of: text, comment))
  }
}
