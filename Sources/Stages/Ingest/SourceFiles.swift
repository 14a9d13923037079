import Files
import PipelineCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// One file or pattern, or a list of them, as a pipeline file says it.
struct SourceList: Codable, Equatable, Sendable, NamedSettingKind {
  static let settingKind = "a string or a list of strings"

  var patterns: [String]

  init(_ patterns: [String] = []) { self.patterns = patterns }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let pattern = try? container.decode(String.self) {
      patterns = [pattern]
    } else {
      patterns = try container.decode([String].self)
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(patterns)
  }
}

/// A file that `ingest.source` names.
struct SourceFile: Equatable {
  let path: String
  let split: String

  /// The files that the patterns match, each once, ordered by path.
  ///
  /// - Parameters:
  ///   - split: overrides what the files' names say
  ///   - mayBeGone: a pattern that matches nothing is no error
  static func all(
    _ sources: SourceList, split: String?, mayBeGone: Bool = false
  ) throws -> [SourceFile] {
    guard !sources.patterns.isEmpty else {
      throw PipelineError.badSetting(
        path: "ingest.source", reason: "is missing: name a file, a pattern or a list of them")
    }
    var paths: Set<String> = []
    for pattern in sources.patterns {
      if Folders.exists(pattern), Folders.exists(pattern + "/.") {
        throw SourceError.isFolder(source: pattern)
      }
      let matches = try Self.paths(matching: pattern)
      if matches.isEmpty, !mayBeGone {
        let folder = missingFolder(of: pattern)
        throw folder.map { SourceError.noFolder(source: pattern, folder: $0) }
          ?? .noFiles(source: pattern)
      }
      paths.formUnion(matches.map(plain))
    }
    return paths.sorted().map { SourceFile(path: $0, split: split ?? splitName(ofFile: $0)) }
  }

  /// What tells whether the file has changed: size, time of change and its end, where a parquet file
  /// has its footer.
  func identity() throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw PipelineError.system(operation: "inspect", path: path, code: errno)
    }
    let file = try RegularFile(path: path)
    let tail = min(file.size, 64 << 10)
    let digest = SHA256.hexDigest(of: try file.read(at: file.size - tail, count: tail))
    // The digest first: `spo status` shows the beginning of what changed.
    return "\(digest.prefix(32)) \(file.size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
  }

  func open(_ names: ColumnNames) throws -> any RecordFile {
    switch path.split(separator: ".").last?.lowercased() {
    case "parquet": return try ParquetRecords(path: path, names: names)
    case "jsonl", "ndjson": return try TextRecords(path: path, form: .jsonLines, names: names)
    case "json": return try TextRecords(path: path, form: .json, names: names)
    case "csv": return try TextRecords(path: path, form: .csv, names: names)
    default: throw SourceError.unknownFormat(path: path)
    }
  }

  /// The split that a file's name says: `data/validation_unique-00000-of-00001-0f1e.parquet`, or a
  /// name that is or begins or ends with a split's; otherwise `train`.
  static func splitName(ofFile path: String) -> String {
    let name = String(
      path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...])
    let parts = name.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    func isNumber(_ part: Substring) -> Bool {
      part.count == 5 && part.utf8.allSatisfy { (48...57).contains($0) }
    }
    if parts.count >= 4 {
      for index in 1...parts.count - 3
      where isNumber(parts[index][...]) && parts[index + 1] == "of"
        && isNumber(parts[index + 2].prefix(5)) && !parts[index - 1].isEmpty
      { return parts[index - 1] }
    }
    let stem = name.prefix { $0 != "." }
    let known = ["validation_unique", "test_unique", "validation", "test", "train"]
    let words = stem.split { $0 == "-" || $0 == "." }.map(String.init)
    return known.first { $0 == words.first || $0 == words.last } ?? "train"
  }

  /// Whether a path is there, or a pattern matches something.
  static func isThere(_ pattern: String) -> Bool {
    guard !pattern.isEmpty, let paths = try? paths(matching: pattern) else { return false }
    return !paths.isEmpty
  }

  private static func paths(matching pattern: String) throws -> [String] {
    // A name with brackets in it stands for itself if it exists.
    if Folders.exists(pattern) { return [pattern] }
    // To match in a folder that is not there counts as a failure.
    guard missingFolder(of: pattern) == nil else { return [] }
    var result = glob_t()
    defer { globfree(&result) }
    let code = glob(pattern, GLOB_ERR, nil, &result)
    guard code == 0 || code == GLOB_NOMATCH else {
      throw PipelineError.system(
        operation: "match", path: pattern, code: code == GLOB_NOSPACE ? ENOMEM : errno)
    }
    return (0..<Int(result.gl_pathc)).compactMap { index in
      result.gl_pathv[index].map { String(cString: $0) }
    }
  }

  /// The first folder on a pattern's way that does not exist; nil from where it leaves the choice.
  private static func missingFolder(of pattern: String) -> String? {
    for place in pattern.indices.dropFirst() where pattern[place] == "/" {
      let folder = String(pattern[..<place])
      if folder.contains(where: { "*?[\\".contains($0) }) { return nil }
      if !Folders.exists(folder) { return folder }
    }
    return nil
  }

  /// One spelling for one path: `a//b` and `./a/b` are `a/b`.
  private static func plain(_ path: String) -> String {
    let parts = path.split(separator: "/").filter { $0 != "." }
    return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }
}
