/// Something else in the place of a file: a failed download, or a file that is still packed.
///
/// Readers check for it only after finding that a file is invalid, so that valid files cost
/// nothing.
public struct MistakenFile: Equatable, Sendable {
  /// Its name, such as `a Git LFS pointer`.
  public let name: String
  private let remedy: String

  /// - Parameters:
  ///   - head: the file's beginning; 512 bytes suffice for all kinds
  ///   - expected: the expected kind, in words; a file of that kind is no mistake
  ///   - isText: whether text is expected, so that any other text is no mistake either
  ///   - quotesText: whether to describe a text by its first line; not if data named the file to
  ///     read
  /// - Returns: nil if the beginning shows nothing
  public init?(
    head: some Collection<UInt8>, expected: String, isText: Bool = false, quotesText: Bool = true
  ) {
    let head = Array(head.prefix(Self.headByteCount))
    guard !head.isEmpty else {
      self.init(name: "empty", remedy: "the download or copy failed")
      return
    }
    if head.starts(with: Array("version https://git-lfs".utf8)) {
      self.init(name: "a Git LFS pointer", remedy: "")
      return
    }
    let start = String(decoding: head.drop { $0 <= 0x20 || $0 >= 0x80 }.prefix(64), as: UTF8.self)
    for (beginning, name) in Self.markup where start.lowercased().hasPrefix(beginning) {
      self.init(name: name, remedy: "the download failed")
      return
    }
    for (beginning, name, remedy) in Self.signatures
    where head.starts(with: beginning) {
      guard name != expected else { return nil }
      self.init(name: name, remedy: remedy)
      return
    }
    // A tar archive begins with a name.
    if head.count >= 262, head[257..<262].elementsEqual("ustar".utf8) {
      self.init(name: "a tar archive", remedy: "unpack it")
      return
    }
    guard !isText, let line = Self.printableLine(head) else { return nil }
    self.init(
      name: quotesText ? "text that starts with \"\(line)\"" : "text",
      remedy: "did the download fail?")
  }

  private init(name: String, remedy: String) {
    self.name = name
    self.remedy = remedy
  }

  /// Returns the message after the file's path.
  ///
  /// - Parameter ending: the extension: a file with that of a text is one, and no failed download
  public func problem(expected: String, ending: String? = nil) -> String {
    let isCalledText = ["csv", "tsv", "txt", "json", "jsonl", "json5", "md"].contains(
      ending?.lowercased() ?? "")
    let remedy =
      switch name {
      case _ where isCalledText && name.hasPrefix("text"): "is it the right file?"
      case "a parquet file" where isCalledText:
        "if it is the right file, let its name end in .parquet"
      case _ where name.hasPrefix("text") && expected == "a parquet file":
        "did the download fail? if it is the right file, let its name end in .csv, .json or .jsonl"
      default: remedy
      }
    return switch name {
    case "empty": "is empty, not \(expected): \(remedy)"
    case "a Git LFS pointer": "is a Git LFS pointer, not the file itself: git lfs pull"
    default: "is \(name), not \(expected): \(remedy)"
    }
  }

  static let headByteCount = 512

  private static let markup = [
    ("<!doctype html", "an HTML page"), ("<html", "an HTML page"), ("<head", "an HTML page"),
    ("<script", "an HTML page"), ("<?xml", "an XML document"), ("<error", "an XML document"),
  ]

  private static let signatures: [(beginning: [UInt8], name: String, remedy: String)] = {
    let unpack = "unpack it"
    let other = "is it the right file?"
    return [
      ([0x50, 0x4B, 3, 4], "a ZIP archive", unpack), ([0x50, 0x4B, 5, 6], "a ZIP archive", unpack),
      ([0x1F, 0x8B], "a gzip file", unpack), (Array("BZh".utf8), "a bzip2 file", unpack),
      ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "an xz file", unpack),
      ([0x28, 0xB5, 0x2F, 0xFD], "a Zstandard file", unpack),
      ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7z archive", unpack),
      (Array("Rar!".utf8), "a RAR archive", unpack),
      (Array("PAR1".utf8), "a parquet file", other),
      (Array("SQLite format 3\0".utf8), "a SQLite database", other),
      ([0x89, 0x50, 0x4E, 0x47], "a PNG image", other),
      ([0xFF, 0xD8, 0xFF], "a JPEG image", other),
      ([0x89, 0x48, 0x44, 0x46], "an HDF5 file", other), (Array("GGUF".utf8), "a GGUF file", other),
      ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59], "a NumPy array", other),
      (Array("%PDF".utf8), "a PDF document", other),
      ([0x7F, 0x45, 0x4C, 0x46], "a program", other),
    ]
  }()

  /// Returns the truncated first line of a text; nil if the bytes are not printable text.
  private static func printableLine(_ head: [UInt8]) -> String? {
    // The last character may be truncated.
    let isWhole = head.count < headByteCount
    guard
      let text = (0..<(isWhole ? 1 : 4)).lazy.compactMap({
        String(validating: head.dropLast($0), as: UTF8.self)
      }).first,
      text.unicodeScalars.allSatisfy({ $0.value >= 0x20 || "\t\r\n".unicodeScalars.contains($0) })
    else { return nil }
    return text.split(whereSeparator: \.isNewline).first.map { String($0.prefix(60)) }
  }
}

extension RegularFile {
  /// Throws `FileError.mistaken` if the file turns out to be of another kind than `expected`, in
  /// words such as `a parquet file`.
  ///
  /// - Parameter isText: whether text is expected
  public func requireNoMistake(expected: String, isText: Bool = false) throws(FileError) {
    let head = try read(at: 0, count: min(size, MistakenFile.headByteCount))
    guard let mistake = MistakenFile(head: head, expected: expected, isText: isText) else { return }
    throw .mistaken(path: path, mistake, expected: expected)
  }
}
