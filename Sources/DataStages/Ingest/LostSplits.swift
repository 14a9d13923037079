package import Catalog
import Files
package import PipelineCore

/// Splits that are in the sources but not in the catalog, because every row of them was left out.
package struct LostSplits {
  private let settings: IngestSettings
  /// The number of rows by the reason for leaving them out; empty for a split that was not read at
  /// all.
  private var counts: [String: [String: Int]] = [:]

  /// Creates an empty instance, for unknown sources.
  package init() { settings = IngestSettings() }

  package init(_ catalog: CatalogDatabase, _ settings: IngestSettings) throws {
    self.settings = settings
    let sources = try SourceFiles(settings, mayBeGone: { _ in true }).files
    let kept = try catalog.splits()
    for source in sources where !kept.contains(source.split) { counts[source.split] = [:] }
    let splits = Dictionary(sources.map { (ExactText($0.path), $0.split) }) { first, _ in first }
    for (path, code, count) in try catalog.rejectionCountsBySource() {
      guard let split = splits[ExactText(path)] else { continue }
      counts[split]?[code, default: 0] += count
    }
  }

  /// The splits in alphabetical order.
  var splits: [String] { counts.keys.sorted() }

  package func contains(_ split: String) -> Bool { counts[split] != nil }

  /// Returns what became of the rows of a split, most frequent first.
  package func sentence(_ split: String) -> String {
    let codes = codes(split)
    guard !codes.isEmpty else {
      return "no row of split \(split) is read"
        + (settings.limit.map { ": ingest.limit=\($0) is reached first" } ?? "")
    }
    let reasons = codes.map { code, count in
      "\(count) \(code)" + (Self.filter(code, settings).map { " (\($0.key)=\($0.value))" } ?? "")
    }
    let total = codes.reduce(0) { $0 + $1.count }
    return "all \(total) rows of split \(split) are excluded: \(reasons.joined(separator: ", "))"
  }

  /// Returns a change that would keep some of the rows.
  package func remedy(_ split: String) -> String {
    guard let code = codes(split).first?.code else {
      return settings.limit == nil ? "add rows of this split" : "raise ingest.limit"
    }
    return Self.filter(code, settings)?.remedy ?? "fix them"
  }

  /// Returns the error of a pipeline that needs the split.
  package func error(_ split: String) -> PipelineError {
    .badSetting(path: "ingest.source", reason: "\(sentence(split)); \(remedy(split))")
  }

  private func codes(_ split: String) -> [(code: String, count: Int)] {
    (counts[split] ?? [:]).map { (code: $0.key, count: $0.value) }
      .sorted { ($1.count, $0.code) < ($0.count, $1.code) }
  }

  /// Returns the setting that leaves rows out for this reason, and its remedy.
  private static func filter(
    _ code: String, _ settings: IngestSettings
  ) -> (key: String, value: String, remedy: String)? {
    switch RejectionCode.isFiltered(code) ? code.dropFirst(RejectionCode.filterPrefix.count) : ""
    {
    case "tie":
      ("ingest.ties", settings.ties.rawValue, "add rows in which an image is preferred")
    case "unlabelled":
      ("ingest.only_with_label", settings.onlyWithLabel.rawValue, "add rows that have a label")
    case "same-images":
      ("ingest.only_different", "\(settings.onlyDifferent)", "set ingest.only_different=false")
    case "not-best":
      ("ingest.only_on_best", "\(settings.onlyOnBest)", "set ingest.only_on_best=false")
    case "many-per-prompt":
      (
        "ingest.max_per_prompt", settings.maxPerPrompt.map { "\($0)" } ?? "null",
        "raise ingest.max_per_prompt"
      )
    case "limit": ("ingest.limit", settings.limit.map { "\($0)" } ?? "null", "raise ingest.limit")
    case "not-kept":
      (
        "ingest.keep", settings.keep.patterns.joined(separator: " "),
        "add rows of this split to the list"
      )
    case "dropped":
      (
        "ingest.drop", settings.drop.patterns.joined(separator: " "),
        "remove the rows of this split from the list"
      )
    default: nil
    }
  }
}
