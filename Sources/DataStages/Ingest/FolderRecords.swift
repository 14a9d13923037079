import Files
import PipelineCore

/// A folder of folders, each with the images of one prompt, ranked by their names.
///
///     DIR/a red fox/prompt.txt     the prompt; without it the folder's name is
///     DIR/a red fox/1.png          the best image
///     DIR/a red fox/2a.png         worse ones; equal numbers tie
///     DIR/a red fox/2b.png
///
/// Instead of a number a name may begin with `chosen` or `rejected`, which count as 1 and 2.
final class FolderRecords: RecordFile {
  private struct Group {
    let folder: String
    let prompt: String?
    /// Names of the images.
    let images: [String]
  }

  static let promptFile = "prompt.txt"
  /// The folder itself.
  let path: String
  let columnNames = ["folder"]
  let plan: ColumnPlan
  private let groups: [Group]
  private static let blockRowCount = 100

  var blockRowCounts: [Int] {
    stride(from: 0, to: groups.count, by: Self.blockRowCount).map {
      min(Self.blockRowCount, groups.count - $0)
    }
  }

  init(path: String) throws {
    self.path = path
    plan = ColumnPlan(
      columns: columnNames, options: ReadingOptions(format: .folders), mayBePrompts: false)
    groups = try Self.promptFolders(in: path).map { folder in
      let names = try Folders.names(in: folder).filter { !$0.hasPrefix(".") }
      return Group(
        folder: folder, prompt: names.contains(Self.promptFile) ? try Self.prompt(folder) : nil,
        images: names.filter(Self.isImage))
    }
    let names = groups.map { ($0.folder.split(separator: "/").last ?? "").lowercased() }
    guard names.count < 2 || !names.allSatisfy(Self.outcomes.contains) else {
      throw SourceError.malformed(
        path: path,
        reason:
          "its folders are named after outcomes (\(names.joined(separator: ", "))), but a folder holds the "
          + "images of one prompt, named by their ranks: PROMPT/chosen.png and PROMPT/rejected.png; or list the "
          + "pairs in a CSV file with columns prompt, chosen and rejected")
    }
  }

  /// Common names of folders of all preferred images and of all others.
  private static let outcomes: Set = [
    "bad", "best", "better", "chosen", "disliked", "good", "liked", "lose", "loser", "losers",
    "losing", "lost",
    "negative", "positive", "preferred", "rejected", "unpreferred", "win", "winner", "winners",
    "winning", "won",
    "worse", "worst",
  ]

  func hasColumn(_ field: RecordField) -> Bool { [.caption, .images, .ranks].contains(field) }
  func columnProblems() -> [any Error] { [] }

  func forEachRow(
    inBlock block: Int, only field: RecordField?,
    _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    let start = block * Self.blockRowCount
    for (index, group) in groups[start..<start + blockRowCounts[block]].enumerated() {
      try body(start + index, .success(Values(group: group)))
    }
  }

  func image(block: Int, row: Int, column: String) throws -> EncodedImage {
    let index = block * Self.blockRowCount + row
    guard groups.indices.contains(index), column.hasPrefix("images["),
      let image = Int(column.dropFirst("images[".count).dropLast()),
      groups[index].images.indices.contains(image)
    else { throw SourceError.changed(path: path) }
    return .file(path: "\(groups[index].folder)/\(groups[index].images[image])")
  }

  /// Returns the identity of the content: the name and digest of every file that is read.
  static func identity(of path: String, _ digests: FileDigests) throws -> String {
    var lines: [String] = []
    for folder in try promptFolders(in: path) {
      for name in try Folders.names(in: folder)
      where name == promptFile || isImage(name) {
        let file = "\(folder)/\(name)"
        lines.append("\(try digests.digest(ofFile: file)) \(file.dropFirst(path.utf8.count))")
      }
    }
    return SHA256.hexDigest(of: Array(lines.joined(separator: "\n").utf8))
  }

  /// Whether a folder contains folders of images.
  ///
  /// - Parameter ofPromptsAlone: require, in at least half of the folders, names that rank the
  ///   images; the others are rejected one by one
  static func isThere(_ path: String, ofPromptsAlone: Bool) throws -> Bool {
    let folders = try promptFolders(in: path)
    guard ofPromptsAlone else { return !folders.isEmpty }
    let ranked = try folders.count { folder in
      try Folders.names(in: folder).filter(isImage).allSatisfy { rank(of: $0) != nil }
    }
    return ranked > 0 && 2 * ranked >= folders.count
  }

  /// Returns the rank in an image's name.
  private static func rank(of name: String) -> Double? {
    let digits = name.prefix { $0.isASCII && $0.isNumber }
    if let rank = Double(digits) { return rank }
    if name.lowercased().hasPrefix("chosen") { return 1 }
    return name.lowercased().hasPrefix("rejected") ? 2 : nil
  }

  /// Returns the folders that contain images themselves, in order; links to parent folders are not
  /// followed.
  static func promptFolders(in path: String) throws -> [String] {
    let start = path.hasSuffix("/") ? String(path.dropLast()) : path
    let below = try PathPattern(PathPattern.escaped(start + "/") + "**").paths()
    var folders: Set<ExactText> = []
    for file in below where isImage(file) { folders.insert(ExactText(OutputPath.folder(of: file))) }
    folders.remove(ExactText(start))
    return folders.sorted().map(\.text)
  }

  /// Whether the extension is that of an image; unreadable formats are rejected by name.
  static func isImage(_ name: String) -> Bool {
    imageEndings.contains(name.split(separator: ".").last?.lowercased() ?? "")
      && name.contains(".")
  }

  private static let imageEndings: Set = [
    "png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl",
  ]

  private static func prompt(_ folder: String) throws -> String {
    let file = try RegularFile(path: "\(folder)/\(promptFile)")
    guard file.size <= Record.captionByteLimit,
      let text = String(validating: try file.readAll(), as: UTF8.self)
    else {
      throw SourceError.malformed(
        path: "\(folder)/\(promptFile)",
        reason: "not a prompt: it must be UTF-8 text of at most \(Record.captionByteLimit) bytes")
    }
    return SpelledValue.trimmed(text)
  }

  private struct Values: RowValues {
    let group: Group

    func text(_ field: RecordField) throws -> String? {
      guard field == .caption else { return nil }
      guard let prompt = group.prompt else {
        return group.folder.split(separator: "/").last.map(String.init)
      }
      return prompt.isEmpty ? nil : prompt
    }

    func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]? {
      group.images.map { .success(.file(path: "\(group.folder)/\($0)")) }
    }

    func numbers(_ field: RecordField) throws -> [Double]? {
      guard field == .ranks else { return nil }
      return try group.images.map { name in
        guard let rank = FolderRecords.rank(of: name) else {
          throw RowRejection(
            .images, "bad-ranking",
            "\(group.folder)/\(name) starts neither with a rank nor with chosen or rejected")
        }
        return rank
      }
    }

    func number(_ field: RecordField) throws -> Double? { nil }
    func truth(_ field: RecordField) throws -> Bool? { nil }
    func image(_ field: RecordField) throws -> EncodedImage? { nil }
    func choice(_ field: RecordField) throws -> String? { nil }
  }
}
