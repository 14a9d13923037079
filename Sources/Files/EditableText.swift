import Glibc

/// A text that this program writes and a user may edit, such as a list to be trimmed by hand.
///
/// Its last line, a comment, holds the SHA-256 of the preceding text. A file without it, or with
/// another, was edited or is foreign: it is kept under another name when the text is written again.
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

  /// Writes the text atomically.
  ///
  /// - Returns: the new path of an existing file that was edited or foreign; nil if there was none
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

  /// Whether `name` belongs to a kept copy of `original`.
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
