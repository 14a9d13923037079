import Catalog
import Files

/// The number of rows read and what became of them, one line each.
struct Funnel {
  let lines: [String]

  /// - Parameter notes: further remarks about the sources
  init(_ catalog: CatalogDatabase, notes: [String]) throws {
    let counts = try catalog.counts()
    let rows = try catalog.readRowCount()
    let outcomes = counts.pairs + counts.listedPrompts + counts.rejections
    var lines = [
      "\(Self.count(rows, "row")) read"
        + (outcomes == rows ? "" : ", giving \(Self.count(outcomes, "pair")) of images")
    ]
    lines += try Self.rejectLines(catalog)
    for (split, count) in try catalog.pairCounts() {
      let labels = try catalog.labelCounts(inSplit: split).reduce(into: LabelCounts()) {
        $0 += $1.counts
      }
      let unlabelled = labels.unlabelled > 0 ? ", \(labels.unlabelled) without a label" : ""
      lines.append(
        "= \(Self.count(count, "pair")) in \(split), \(labels.ties) of them ties\(unlabelled)")
    }
    if counts.listedPrompts > 0 {
      lines.append("= \(Self.count(counts.listedPrompts, "listed prompt"))")
    }
    lines.append(
      "\(Self.count(counts.prompts, "distinct prompt")), \(Self.count(counts.images, "distinct image"))"
    )
    let shared = try catalog.sharedPromptCount()
    if shared > 0 {
      lines.append("note: \(Self.count(shared, "prompt")) of split train also in other splits")
    }
    let alike = try catalog.selfComparisonCount()
    if alike > 0 {
      lines.append(
        "note: \(Self.count(alike, "pair")) with the same image twice, which teach no preference")
    }
    lines += notes.map { "note: \($0)" }
    self.lines = lines.map(\.printable)
  }

  private static func count(_ number: Int, _ thing: String) -> String {
    "\(Spelled.count(number)) \(thing)\(number == 1 ? "" : "s")"
  }

  /// Returns each reason with its number of rows, and the first of them.
  static func rejectLines(_ catalog: CatalogDatabase) throws -> [String] {
    try catalog.rejectionExamples().map {
      "- \(Spelled.count($0.count)) \($0.code), such as \($0.example)".printable
    }
  }

  /// Returns the first row rejected for the most frequent reason, apart from filters.
  static func commonestRejection(in catalog: CatalogDatabase) throws -> String? {
    try catalog.rejectionExamples().filter { !RejectionCode.isFiltered($0.code) }
      .max { $0.count < $1.count }?.example
  }
}
