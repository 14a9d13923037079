import Files

/// Rows or images listed in a file, one per line; settings `ingest.keep` and `ingest.drop`.
///
///     train.parquet:17      a row, counted from 0
///     rankings.json:3.2     one of the pairs that a row of rankings became, counted from 0
///     17                    a row, where there is only one source
///     0f3a...               the identity of an image: its uid, else the SHA-256 of its bytes
///
/// Empty lines and those that begin with `#` are ignored.
struct RowList {
  private struct Rows {
    var whole: Set<Int> = []
    var parts: [Int: Set<Int>] = [:]
  }

  private var rows: [ExactText: Rows] = [:]
  private(set) var uids: Set<String> = []
  /// The first line of each kind.
  private var firstRow: String?
  private var firstImage: String?

  private static let byteLimit = 1 << 30

  /// Whether it names rows, not images.
  var isOfRows: Bool { !rows.isEmpty }
  /// The first line that names a row, and the first that names an image; nil if all are of one
  /// kind.
  var mixture: (row: String, image: String)? {
    guard let firstRow, let firstImage else { return nil }
    return (firstRow, firstImage)
  }

  /// - Parameter sources: the paths of the files whose rows may be listed
  init(paths: [String], sources: [String]) throws {
    for path in paths { try add(path, sources) }
  }

  private mutating func add(_ path: String, _ sources: [String]) throws {
    let file = try RegularFile(path: path)
    guard file.size <= Self.byteLimit else {
      throw SourceError.malformed(path: path, reason: "\(file.size) bytes, too large for a list")
    }
    guard let text = String(validating: try file.readAll(), as: UTF8.self) else {
      throw SourceError.malformed(path: path, reason: "not UTF-8 text, so not a list of rows")
    }
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      let entry = SpelledValue.trimmed(String(line))
      guard !entry.isEmpty, !entry.hasPrefix("#") else { continue }
      do throws(EntryError) {
        let place = "\(path): line \(index + 1)"
        if try add(entry: entry, sources) {
          firstRow = firstRow ?? place
        } else {
          firstImage = firstImage ?? place
        }
      } catch {
        throw SourceError.malformed(
          path: path,
          reason: "line \(index + 1) (\(entry.prefix(80).description.printable)): "
            + error.reason)
      }
    }
  }

  private struct EntryError: Error { let reason: String }

  /// - Returns: whether it names a row
  private mutating func add(entry: String, _ sources: [String]) throws(EntryError) -> Bool {
    let colon = entry.lastIndex(of: ":")
    let number = colon.map { entry[entry.index(after: $0)...] } ?? entry[...]
    guard let (row, part) = Self.row(number) else {
      uids.insert(entry)
      return false
    }
    let name = colon.map { String(entry[..<$0]) }
    let matches = name.map { Self.named($0, sources) } ?? sources
    guard let source = matches.first, matches.count == 1 else {
      throw EntryError(
        reason: name == nil
          ? "with several sources, each row needs its file name: FILE:ROW"
          : matches.isEmpty
            ? "no source has this name"
            : "\(matches.count) sources have this name; write more of its path")
    }
    if let part {
      rows[ExactText(source), default: Rows()].parts[row, default: []].insert(part)
    } else {
      rows[ExactText(source), default: Rows()].whole.insert(row)
    }
    return true
  }

  /// Parses a row number, and a pair number after a dot.
  private static func row(_ text: Substring) -> (Int, Int?)? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part -> Int? in
      part.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) ? Int(part) : nil
    }
    guard numbers.count == parts.count, (1...2).contains(numbers.count) else { return nil }
    return (numbers[0], numbers.count == 2 ? numbers[1] : nil)
  }

  /// Returns the paths equal to this one or ending in it: of those that Unicode considers equal,
  /// the one with the same bytes.
  private static func named(_ name: String, _ paths: [String]) -> [String] {
    let named = paths.filter { $0 == name || $0.hasSuffix("/" + name) }
    guard named.count > 1 else { return named }
    let exact = named.filter { $0.utf8.reversed().starts(with: name.utf8.reversed()) }
    return exact.isEmpty ? named : exact
  }

  /// - Parameter part: nil: any pair of the row
  func hasRow(_ row: Int, _ part: Int?, _ path: String) -> Bool {
    guard let rows = rows[ExactText(path)] else { return false }
    if rows.whole.contains(row) { return true }
    guard let parts = rows.parts[row] else { return false }
    return part.map(parts.contains) ?? true
  }

  func isWhole(_ row: Int, _ path: String) -> Bool {
    rows[ExactText(path)]?.whole.contains(row) ?? false
  }
}
