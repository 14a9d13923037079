import Files
import Foundation
import PipelineCore

/// One file, folder or pattern, or a list of them, as given in a pipeline file.
package struct SourceList: Codable, Equatable, Sendable, NamedSettingKind {
  package static let settingKind = "a string or a list of strings"

  package var patterns: [String]

  package init(_ patterns: [String] = []) { self.patterns = patterns }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let pattern = try? container.decode(String.self) {
      patterns = [pattern]
    } else {
      patterns = try container.decode([String].self)
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(patterns)
  }
}

/// The format of a records file, from its extension.
enum SourceFormat {
  case parquet
  case text(TextRecords.Form)

  init?(path: String) {
    switch path.split(separator: ".").last?.lowercased() {
    case "parquet": self = .parquet
    case "jsonl", "ndjson": self = .text(.jsonLines)
    case "json": self = .text(.json)
    case "csv": self = .text(.csv)
    case "tsv": self = .text(.tsv)
    case "txt": self = .text(.lines)
    default: return nil
    }
  }

  /// For messages.
  static let endings = ".parquet, .jsonl, .ndjson, .json, .csv, .tsv or .txt"

  /// Whether such files often contain descriptions, licenses and the like.
  static func isDoubtful(_ path: String) -> Bool {
    let name = path.lowercased()
    return name.hasSuffix(".json") || name.hasSuffix(".txt")
  }
}

/// A file, or a folder of folders of images, that `ingest.source` names.
package struct SourceFile: Equatable {
  package let path: String
  package let split: String

  func open(_ options: ReadingOptions) throws -> any RecordFile {
    let file = try openRows(options)
    guard file.plan.form == .rankedImages, file.problems(also: []).isEmpty else { return file }
    return try RankedImageRecords(file)
  }

  /// Opens the file itself, whose rows contain the images.
  func openRows(_ options: ReadingOptions) throws -> any RecordFile {
    if PathKind(of: path) == .folder { return try FolderRecords(path: path) }
    switch SourceFormat(path: path) {
    case .parquet: return try ParquetRecords(path: path, options: options)
    case .text(let form): return try TextRecords(path: path, form: form, options: options)
    case nil: throw SourceError.unknownFormat(path: path)
    }
  }
}

extension SourceFile {
  /// Returns the files that the settings name, each once, ordered by path.
  static func all(
    _ settings: IngestSettings, mayBeGone: (String) -> Bool = { _ in false }
  ) throws -> [SourceFile] {
    try SourceFiles(settings, mayBeGone: mayBeGone).files
  }

  /// Whether a path exists, or a pattern matches something.
  package static func isThere(_ pattern: String) -> Bool {
    guard !pattern.isEmpty else { return false }
    return PathKind(of: pattern) != nil || (try? PathPattern(pattern).paths())?.isEmpty == false
  }
}

/// All files that `ingest.source` names, with remarks.
package struct SourceFiles {
  /// The files, each once, ordered by path.
  package private(set) var files: [SourceFile] = []
  /// Lines for the row counts: assumptions, and files that are not read.
  package private(set) var notes: [String] = []

  /// - Parameters:
  ///   - split: overrides what the paths say
  ///   - format: `folders` prevents folders of images from being searched for record files
  ///   - mayBeGone: whether a pattern without matches is permitted
  package init(
    _ sources: SourceList, split: String?, mayBeGone: (String) -> Bool = { _ in false }
  ) throws {
    try self.init(sources, split: split, format: .auto, mayBeGone: mayBeGone)
  }

  package init(
    _ settings: IngestSettings, mayBeGone: (String) -> Bool = { _ in false }
  ) throws {
    try self.init(
      settings.source, split: settings.split, format: settings.format, mayBeGone: mayBeGone)
  }

  private init(
    _ sources: SourceList, split: String?, format: DataForm, mayBeGone: (String) -> Bool
  ) throws {
    guard !sources.patterns.isEmpty, !sources.patterns.contains("") else {
      throw PipelineError.badSetting(
        path: "ingest.source", reason: "is missing: name a file, a folder, a pattern or a list")
    }
    // With repetitions, which are reported.
    var paths: [String] = []
    var unread: Set<ExactText> = []
    var bases: [String] = []
    for pattern in sources.patterns {
      let matches = try SourceMatches(pattern, format)
      if matches.files.isEmpty, !mayBeGone(pattern) { throw matches.emptiness }
      paths += Set(matches.files.map(ExactText.init)).map(\.text)
      unread.formUnion(matches.unread.map(ExactText.init))
      if let base = matches.base { bases.append(Self.place(base)) }
    }
    // The folders above data elsewhere do not describe it; how a path is spelled says nothing.
    let root = Self.commonFolder(bases.filter { $0.hasPrefix("/") })
    let above = Self.commonFolder(bases.filter { $0.hasPrefix("..") })
    var silent: [String] = []
    // Files by a folder's name and the split that it indicates in part, which may be a coincidence.
    var partlyNamed: [String: [String]] = [:]
    var named: [SourceFile] = []
    for path in paths.sortedExactly() {
      let place = Self.place(path)
      let base = place.hasPrefix("/") ? root : place.hasPrefix("..") ? above : ""
      let found = split == nil ? SplitName.found(in: place, below: base) : nil
      let name = split ?? found?.split
      if let found, let folder = found.partOf {
        partlyNamed["split \(found.split), as the folder's name \(folder) says", default: []]
          .append(path)
      }
      if name == nil, silent.last.map(ExactText.init) != ExactText(path) { silent.append(path) }
      named.append(SourceFile(path: path, split: name ?? "train"))
    }
    let (files, repeated) = try Self.distinct(named)
    self.files = files
    if let first = silent.first {
      notes.append(
        "\(first)\(Self.more(silent.count)) \(silent.count == 1 ? "names" : "name") no split; using train"
      )
    }
    notes += partlyNamed.sorted { $0.key < $1.key }.map { reason, paths in
      "\(paths[0])\(Self.more(Set(paths).count)): \(reason)"
    }
    notes += repeated
    // Records refer to images.
    let passedOver = unread.subtracting(paths.map(ExactText.init)).sorted().map(\.text)
      .filter { !FolderRecords.isImage($0) }
    let lists = passedOver.filter { SourceFormat(path: $0) != nil }
    if let first = passedOver.first(where: { SourceFormat(path: $0) == nil }) {
      let count = passedOver.count - lists.count
      notes.append("ignored next to the record files: \(first)\(Self.more(count))")
    }
    if let first = lists.first {
      notes.append(
        "not read: \(first)\(Self.more(lists.count)): JSON and text are read where there are no other records, or if "
          + "ingest.source names them")
    }
  }

  /// Normalizes a path: `a//b` and `./a/b` are `a/b`.
  static func plain(_ path: String) -> String {
    let parts = path.split(separator: "/").filter { $0 != "." }
    return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }

  /// Returns the existing matches of a pattern.
  static func matches(_ pattern: String, _ settings: IngestSettings) throws -> [String] {
    try SourceMatches(pattern, settings.format).files
  }

  /// Removes duplicates, keeping the first name of each file: other spellings, or links to it.
  ///
  /// - Returns: the files in their order, and a line for each omitted name
  /// - Throws: `PipelineError.badSetting` if the names of one file indicate different splits
  static func distinct(_ files: [SourceFile]) throws -> (files: [SourceFile], notes: [String]) {
    var firsts: [ExactText: SourceFile] = [:]
    var distinct: [SourceFile] = []
    var notes: [String] = []
    var repeated: Set<ExactText> = []
    for file in files {
      let place = ExactText(Folders.canonical(file.path))
      guard let first = firsts[place] else {
        firsts[place] = file
        distinct.append(file)
        continue
      }
      guard first.split == file.split else {
        throw PipelineError.badSetting(
          path: "ingest.source",
          reason:
            "\(first.path) and \(file.path) are the same file, whose rows cannot be in both split "
            + "\(first.split) and split \(file.split); list it once, or set ingest.split")
      }
      if ExactText(first.path) == ExactText(file.path) {
        repeated.insert(ExactText(file.path))
      } else {
        notes.append("read once: \(file.path) is the same file as \(first.path)")
      }
    }
    if let path = repeated.min()?.text {
      notes.append("read once: \(path)\(more(repeated.count)), though listed several times")
    }
    return (distinct, notes)
  }

  /// Returns a relative path if an absolute one is inside the current folder.
  private static func place(_ path: String) -> String {
    let current = FileManager.default.currentDirectoryPath
    for folder in [current, Folders.canonical(current)] where path.hasPrefix(folder + "/") {
      return String(path.dropFirst(folder.utf8.count + 1))
    }
    return path
  }

  private static func more(_ count: Int) -> String { count > 1 ? " and \(count - 1) more" : "" }

  /// Returns the common parent folder.
  private static func commonFolder(_ folders: [String]) -> String {
    let parts = folders.map { $0.split(separator: "/") }
    guard var common = parts.first else { return "" }
    for other in parts.dropFirst() {
      common = Array(zip(common, other).prefix { $0 == $1 }.map(\.0))
    }
    return common.joined(separator: "/")
  }
}

/// The matches of one entry of `ingest.source`.
private struct SourceMatches {
  let pattern: String
  private let format: DataForm
  private(set) var files: [String] = []
  /// Matches in an unsupported format, or that do not look like records.
  private(set) var unread: [String] = []
  /// The part of a path to data elsewhere after which names describe it; nil for one below the current
  /// folder, of which the user wrote every part for that purpose.
  private(set) var base: String?
  /// An Arrow file in a folder that `datasets` has saved, which contains no other tables.
  private var arrow: String?

  init(_ pattern: String, _ format: DataForm) throws {
    self.pattern = pattern
    self.format = format
    let kind = PathKind(of: pattern.isEmpty ? "." : pattern)
    // A name with brackets is literal if it exists.
    switch kind {
    case .folder?: try addContents(of: [pattern])
    case .file?, .special?: files = [SourceFiles.plain(pattern)]
    case nil: try addMatches()
    }
    guard pattern.hasPrefix("/") || SourceFiles.plain(pattern).hasPrefix("..") else { return }
    base = SourceFiles.plain(kind == .folder ? pattern : PathPattern(pattern).literalFolder)
  }

  private mutating func addMatches() throws {
    guard PathPattern(pattern).hasWildcards else { return }
    let matches = try PathPattern(pattern).paths()
    let found = matches.filter { PathKind(of: $0) == .file }
    // Folders count only if nothing else matches, as for `hub/*`.
    guard !found.isEmpty else { return try addContents(of: matches) }
    // A pattern of only stars selects nothing: it matches a folder's contents.
    if pattern.split(separator: "/").last?.allSatisfy({ $0 == "*" }) == true {
      return addRecords(among: found)
    }
    files = found.filter { SourceFormat(path: $0) != nil }.map(SourceFiles.plain)
    unread = found.filter { SourceFormat(path: $0) == nil }.map(SourceFiles.plain)
    // A pattern that asks for such files by extension gets an error that lists the readable
    // formats.
    if files.isEmpty { files = unread }
  }

  /// Adds all files below folders, except hidden ones; or the folders, if they contain folders of
  /// images.
  private mutating func addContents(of folders: [String]) throws {
    let found = try folders.flatMap { folder in
      let start = folder.hasSuffix("/") ? folder : folder + "/"
      return try PathPattern(PathPattern.escaped(start) + "**").paths()
    }.filter { PathKind(of: $0) == .file }
    guard try !addFolders(of: folders, found) else { return }
    addRecords(among: found)
  }

  /// Adds folders that contain a folder per prompt, a split's own folder each; false if they do
  /// not.
  private mutating func addFolders(of folders: [String], _ found: [String]) throws -> Bool {
    let isChosen = format == .folders
    let hasRecords = found.contains {
      SourceFormat(path: $0) != nil
        && $0.split(separator: "/").last ?? "" != FolderRecords.promptFile
    }
    guard isChosen || format == .auto && !hasRecords else { return false }
    for folder in folders {
      let splits = try Folders.names(in: folder).sorted().filter(SplitName.isSplit).map {
        SourceFiles.plain("\(folder)/\($0)")
      }.filter { PathKind(of: $0) == .folder }
      let candidates = splits.isEmpty ? [SourceFiles.plain(folder)] : splits
      // Ranked by their names, not merely referenced by a records file: where that is so in one split, badly named
      // images of the others are rejected one by one.
      let isRanked = try candidates.contains {
        try FolderRecords.isThere($0, ofPromptsAlone: !isChosen)
      }
      guard isRanked else { continue }
      if !splits.isEmpty { unread += try Self.others(in: folder, besides: splits) }
      files += try candidates.filter { try FolderRecords.isThere($0, ofPromptsAlone: false) }
    }
    return !files.isEmpty
  }

  /// Returns the subfolders with images that are not those of splits.
  private static func others(in folder: String, besides splits: [String]) throws -> [String] {
    let start = SourceFiles.plain(folder)
    let names = try FolderRecords.promptFolders(in: start).compactMap {
      $0.utf8.dropFirst(start.utf8.count + 1).split(separator: UInt8(ascii: "/")).first
    }
    return Set(names.map { ExactText("\(start)/" + String(decoding: $0, as: UTF8.self)) })
      .subtracting(splits.map(ExactText.init))
      .sorted().map(\.text)
  }

  /// JSON and text are also used for descriptions: they count only if there is nothing else, and
  /// text only if there is no JSON.
  private mutating func addRecords(among found: [String]) {
    let records = found.filter { SourceFormat(path: $0) != nil }
    arrow = found.first { $0.lowercased().hasSuffix(".arrow") }
    let certain = records.filter { !SourceFormat.isDoubtful($0) }
    let json = records.filter { $0.lowercased().hasSuffix(".json") }
    let others = certain.isEmpty ? json : certain
    // Next to tables in an unsupported format, JSON describes them.
    guard !certain.isEmpty || arrow == nil else { return }
    files = (others.isEmpty ? records : others).map(SourceFiles.plain)
    let read = Set(files.map(ExactText.init))
    unread = found.map(SourceFiles.plain).filter { !read.contains(ExactText($0)) }
  }

  /// The error that explains why there are no files.
  var emptiness: SourceError {
    if let arrow { return .unknownFormat(path: arrow) }
    if PathKind(of: pattern.isEmpty ? "." : pattern) == .folder {
      return .emptyFolder(source: pattern)
    }
    if let folder = missingFolder { return .noFolder(source: pattern, folder: folder) }
    let escaped = PathPattern.withPlainBrackets(pattern)
    return .noFiles(source: pattern, escaped: escaped == pattern ? nil : escaped)
  }

  /// The first nonexistent folder in the pattern's path; nil if it comes after a wildcard.
  private var missingFolder: String? {
    for place in pattern.indices.dropFirst() where pattern[place] == "/" {
      let folder = String(pattern[..<place])
      if PathPattern(folder).hasWildcards { return nil }
      if PathKind(of: folder) == nil { return folder }
    }
    return nil
  }
}
