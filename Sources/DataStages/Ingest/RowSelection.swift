import Files
import PipelineCore

/// The rows selected by the settings `limit`, `keep` and `drop`.
struct RowSelection {
  /// The number of rows of each file that are used; nil: all.
  private var rowLimits: [ExactText: Int]?
  /// Digests of the prompts in a sample.
  private var prompts: Set<String>?
  private var keep: RowList?
  private var drop: RowList?
  /// The number of rows that the limit still allows; nil: all.
  private var rowsLeft: Int?
  private var unreadRows = 0
  /// Descriptions of what `limit` leaves out.
  private(set) var notes: [String] = []

  /// Selects all rows.
  init() {}

  init(_ settings: IngestSettings, sources: [SourceFile]) throws {
    let paths = sources.map(\.path)
    if !settings.keep.patterns.isEmpty {
      let list = try RowList(paths: settings.keep.patterns, sources: paths)
      if let (row, image) = list.mixture {
        throw PipelineError.badSetting(
          path: "ingest.keep",
          reason: "mixes rows (\(row)) and images (\(image)); use lists of one kind")
      }
      keep = list
    }
    if !settings.drop.patterns.isEmpty {
      drop = try RowList(paths: settings.drop.patterns, sources: paths)
    }
    if settings.limitBy == .rows { rowsLeft = settings.limit }
  }

  /// Counts a file's rows against the limit; to be called file by file.
  ///
  /// - Returns: the number of the file's rows that are used
  mutating func take(from file: any RecordFile) -> Int {
    let count = file.blockRowCounts.reduce(0, +)
    guard let left = rowsLeft else { return count }
    let taken = min(left, count)
    rowsLeft = left - taken
    rowLimits = rowLimits ?? [:]
    rowLimits?[ExactText(file.path)] = taken
    unreadRows += count - taken
    notes = unreadRows > 0 ? ["ingest.limit excludes \(Spelled.count(unreadRows, of: "rows"))"] : []
    return taken
  }

  /// Draws the sample of prompts, if one is required and not drawn yet.
  ///
  /// It consists of the prompts whose digests, mixed with the seed, sort first: a prompt's position
  /// does not depend on others.
  ///
  /// - Parameter read: calls its argument with every prompt
  mutating func sampleIfNeeded(
    _ settings: IngestSettings, _ read: ((String) -> Void) throws -> Void
  ) throws {
    guard prompts == nil, settings.limitBy == .prompts, let limit = settings.limit else { return }
    var all: [String: String] = [:]
    try read { caption in
      let digest = SHA256.hexDigest(of: Array(caption.utf8))
      guard all[digest] == nil else { return }
      all[digest] = SHA256.hexDigest(of: Array("\(settings.seed) \(digest)".utf8))
    }
    let chosen = all.sorted { $0.value < $1.value }.prefix(limit).map(\.key)
    prompts = Set(chosen)
    guard all.count > limit else { return }
    notes = [
      "ingest.limit selects \(limit) of \(all.count) prompts, chosen by seed \(settings.seed)"
    ]
  }

  private func rowLimit(of path: String) -> Int? { rowLimits.map { $0[ExactText(path)] ?? 0 } }

  func check(row: Int, of path: String) throws(RowRejection) {
    if let limit = rowLimit(of: path), row >= limit {
      throw .filtered(nil, "limit", "beyond ingest.limit")
    }
    if let keep, keep.isOfRows, !keep.hasRow(row, nil, path) {
      throw .filtered(nil, "not-kept", "not listed in ingest.keep")
    }
    if let drop, drop.isWhole(row, path) {
      throw .filtered(nil, RowRejection.dropped, "listed in ingest.drop")
    }
  }

  /// Checks one of several pairs of a row.
  func check(row: Int, part: Int, of path: String) throws(RowRejection) {
    if let keep, keep.isOfRows, !keep.hasRow(row, part, path) {
      throw .filtered(nil, "not-kept", "not listed in ingest.keep")
    }
    if let drop, drop.hasRow(row, part, path) {
      throw .filtered(nil, RowRejection.dropped, "listed in ingest.drop")
    }
  }

  func check(caption: String) throws(RowRejection) {
    guard let prompts, !prompts.contains(SHA256.hexDigest(of: Array(caption.utf8))) else { return }
    throw .filtered(.caption, "limit", "its prompt is not in the sample of ingest.limit")
  }

  /// - Parameter uids: the identities of both images
  func check(uids: [String]) throws(RowRejection) {
    if let keep, !keep.isOfRows, !uids.allSatisfy(keep.uids.contains) {
      throw .filtered(nil, "not-kept", "an image is not listed in ingest.keep")
    }
    if let drop, uids.contains(where: drop.uids.contains) {
      throw .filtered(nil, RowRejection.dropped, "an image is listed in ingest.drop")
    }
  }
}
