import Catalog

/// How many rows came in and what became of them, a line each.
struct Funnel {
  let lines: [String]

  init(_ catalog: CatalogDatabase) throws {
    let counts = try catalog.counts()
    let rows = counts.pairs + counts.listedPrompts + counts.rejects
    var lines = ["\(rows) rows read"]
    for (code, count) in try catalog.rejectCounts() { lines.append("- \(count) \(code)") }
    for (split, count) in try catalog.pairCounts() {
      let ties = try catalog.tieCount(inSplit: split)
      lines.append("= \(count) pairs in \(split), \(ties) of them ties")
    }
    if counts.listedPrompts > 0 { lines.append("= \(counts.listedPrompts) listed prompts") }
    lines.append("\(counts.prompts) different prompts, \(counts.images) different images")
    let shared = try catalog.sharedPromptCount()
    if shared > 0 {
      lines.append("note: \(shared) prompts of train are also in other splits")
    }
    self.lines = lines
  }
}
