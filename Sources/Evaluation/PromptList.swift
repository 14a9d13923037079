public import Files

/// A list of prompts, in the formats in which such lists are published.
///
/// | ending | content |
/// | --- | --- |
/// | `.json` | a list of strings, or of objects with `prompt`, `caption` or `text`, in any case (HPDv2's benchmark) |
/// | `.jsonl`, `.ndjson` | one such object or string a line (GenEval's metadata) |
/// | `.tsv`, `.csv` | a header with one of these names, and rows (PartiPrompts) |
/// | any | a parquet file with such a column, told by its content |
/// | others | one prompt a line |
///
/// Entries without a prompt, such as a blank line, an empty field or null, are skipped.
public struct PromptList: Equatable, Sendable {
  public struct Entry: Equatable, Sendable {
    public let text: String
    /// Everything in the list about the prompt.
    public let metadata: JSON.Object
  }

  public let path: String
  /// In the list's order; at least one.
  public let entries: [Entry]

  /// The maximum size of a list of prompts.
  private static let byteLimit = 256 << 20
  private static let columns = ["prompt", "caption", "text"]

  public init(path: String) throws {
    self.path = path
    let file = try RegularFile(path: path)
    guard try file.read(at: 0, count: min(file.size, 4)) != Array("PAR1".utf8) else {
      entries = try Self.rows(file, path).filter(\.hasPrompt)
      guard !entries.isEmpty else { throw PromptListError.empty(path: path) }
      return
    }
    guard file.size <= Self.byteLimit else {
      throw PromptListError.tooLarge(path: path, size: file.size, limit: Self.byteLimit)
    }
    let bytes = try file.readAll()
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw PromptListError.notText(path: path)
    }
    // A byte order mark is not part of the text.
    let plain = text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
    let ending = path.split(separator: ".").last?.lowercased()
    let all =
      switch ending {
      case "json5", "jsonc", "yaml", "yml", "toml": throw PromptListError.otherForm(path: path)
      case "json": try Self.objects(JSON(parsing: Array(plain.utf8), source: path), path)
      case "jsonl", "ndjson": try Self.jsonLines(plain, path)
      case "csv": try Self.table(plain, ",", path)
      case "tsv": try Self.table(plain, "\t", path)
      default: Self.lines(plain).map { Entry($0.text) }
      }
    entries = all.filter(\.hasPrompt)
    guard !entries.isEmpty else { throw PromptListError.empty(path: path) }
  }

  /// Returns non-blank lines, trimmed, each with its number and the scalars trimmed from its
  /// beginning.
  ///
  /// - Parameter isEnd: whether a character ends a line
  private static func lines(
    _ text: String, endingWith isEnd: (Character) -> Bool = \.isNewline
  ) -> [(number: Int, indent: Int, text: String)] {
    text.split(omittingEmptySubsequences: false, whereSeparator: isEnd).enumerated()
      .compactMap { index, line in
        guard let first = line.firstIndex(where: { !$0.isWhitespace }),
          let last = line.lastIndex(where: { !$0.isWhitespace })
        else { return nil }
        return (index + 1, line[..<first].unicodeScalars.count, String(line[first...last]))
      }
  }

  private static func objects(_ json: JSON, _ path: String) throws -> [Entry] {
    guard json.array != nil else { throw PromptListError.notList(path: path, found: json.kind) }
    return try JSONReader(json, path: path).elements().map(entry)
  }

  private static func jsonLines(_ text: String, _ path: String) throws -> [Entry] {
    // Other line separators may occur in strings.
    try lines(text, endingWith: { $0 == "\n" || $0 == "\r\n" }).map { line in
      let json: JSON
      do {
        json = try JSON(parsing: Array(line.text.utf8), source: path)
      } catch JSONError.syntax(_, _, let column, let problem) {
        throw JSONError.syntax(
          source: path, line: line.number, column: line.indent + column, problem: problem)
      }
      return try entry(JSONReader(json, path: "\(path): line \(line.number)"))
    }
  }

  private static func entry(_ reader: JSONReader) throws -> Entry {
    if reader.value == .null { return Entry("") }
    if let text = reader.value.string { return Entry(text) }
    let object = try reader.object()
    guard let column = Self.column(among: object.keys) else {
      throw PromptListError.noPrompt(path: reader.path, present: object.keys)
    }
    return Entry(text: try reader.optional(column)?.string() ?? "", metadata: object)
  }

  /// Returns the name of the prompt column, in any case.
  static func column(among names: [String]) -> String? {
    columns.lazy.compactMap { column in
      names.first { $0 == column } ?? names.first { $0.lowercased() == column }
    }.first
  }

  private static func table(
    _ text: String, _ separator: Unicode.Scalar, _ path: String
  ) throws(PromptListError) -> [Entry] {
    // Spreadsheets write semicolons if the comma is the decimal sign.
    let header = text.prefix { !$0.isNewline }
    let isOther = !header.unicodeScalars.contains(separator) && header.contains(";")
    let rows = try DelimitedText(text, separator: isOther ? ";" : separator, path: path).rows
    guard let header = rows.first?.fields else { return [] }
    guard let column = Self.column(among: header).flatMap(header.firstIndex) else {
      throw .noPrompt(path: path, present: header)
    }
    var entries: [Entry] = []
    for row in rows.dropFirst() {
      guard row.fields.count == header.count else {
        throw .rowOfOtherWidth(
          path: path, line: row.line, found: row.fields.count, expected: header.count)
      }
      var metadata = JSON.Object()
      for (name, field) in zip(header, row.fields) { metadata[name] = .string(field) }
      entries.append(Entry(text: row.fields[column], metadata: metadata))
    }
    return entries
  }
}

extension PromptList.Entry {
  fileprivate var hasPrompt: Bool { !text.allSatisfy(\.isWhitespace) }

  fileprivate init(_ text: String) {
    var metadata = JSON.Object()
    metadata["prompt"] = .string(text)
    self.init(text: text, metadata: metadata)
  }
}

/// A problem with a list of prompts.
public enum PromptListError: ClassifiedError, Equatable, CustomStringConvertible {
  case tooLarge(path: String, size: Int, limit: Int)
  case notText(path: String)
  case empty(path: String)
  case otherForm(path: String)
  case notList(path: String, found: String)
  case noPrompt(path: String, present: [String])
  case openQuote(path: String, line: Int)
  case rowOfOtherWidth(path: String, line: Int, found: Int, expected: Int)

  public var kind: FailureKind { .input }

  private static let forms =
    "prompts are read from .json, .jsonl, .ndjson, .csv, .tsv, parquet, or text with one prompt per line"

  public var description: String {
    switch self {
    case .tooLarge(let path, let size, let limit):
      "\(path): \(size) bytes, more than the limit of \(limit) for a prompt list"
    case .notText(let path):
      "\(path): not UTF-8 text, so not a prompt list; if it is text, convert it, for example: "
        + "iconv -f LATIN1 -t UTF-8 IN > OUT"
    case .otherForm(let path): "\(path): not a form of prompt lists; \(Self.forms)"
    case .notList(let path, let found):
      "\(path): \(found), expected a list of prompts: [\"a red fox\"] or [{\"prompt\": \"a red fox\"}]; \(Self.forms)"
    case .empty(let path): "\(path): contains no prompts"
    case .noPrompt(let path, let present):
      "\(path): no key or column named prompt, caption or text; found: "
        + (present.isEmpty ? "none" : present.joined(separator: ", "))
    case .openQuote(let path, let line):
      "\(path): line \(line): a field has an unclosed quote"
    case .rowOfOtherWidth(let path, let line, let found, let expected):
      "\(path): line \(line): \(found) fields, but the header has \(expected)"
    }
  }
}
