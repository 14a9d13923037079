import Files

/// The interpretation of the sources, one line per kind of source.
struct SourceReadings {
  private var kinds: [(meaning: String, columns: String, first: String, count: Int)] = []
  /// Columns besides the prompt in lists of prompts.
  private var leftOut: [String] = []
  /// The first file whose rows have their own split.
  private var unreadSplit: String?

  mutating func add(_ file: any RecordFile) {
    let unread = file.unreadColumns
    let columns =
      file.usedColumns.map(\.column).joined(separator: ", ")
      + (unread.isEmpty || file.isPromptList
        ? "" : "; columns not used: \(unread.prefix(12).joined(separator: ", "))")
      + (unread.count > 12 && !file.isPromptList ? " and \(unread.count - 12) more" : "")
    let meaning = "\(file.plan.form.rawValue): \(file.plan.form.meaning)"
    if let line = file.promptsAloneLine, leftOut.isEmpty { leftOut.append(line) }
    if unreadSplit == nil { unreadSplit = file.unreadSplitLine }
    let index = kinds.firstIndex { $0.meaning == meaning && $0.columns == columns }
    guard let index else { return kinds.append((meaning, columns, file.path, 1)) }
    kinds[index].count += 1
  }

  var lines: [String] {
    leftOut + (unreadSplit.map { [$0.printable] } ?? [])
      + kinds.map { kind in
        let more = kind.count > 1 ? " and \(kind.count - 1) more" : ""
        return "\(kind.first)\(more): read as \(kind.meaning); columns \(kind.columns)".printable
      }
  }
}

extension RecordFile {
  /// The columns that are read, each with its field.
  var usedColumns: [(column: String, field: RecordField)] {
    plan.fields.filter(hasColumn).map { (plan.name(of: $0), $0) }
  }

  /// The columns that are not read.
  var unreadColumns: [String] {
    let used = Set(usedColumns.map(\.column))
    return columnNames.filter { name in
      !used.contains(name) && !used.contains { name.hasPrefix($0 + ".") }
    }
  }

  /// A remark about a column that looks like a split.
  var unreadSplitLine: String? {
    guard let column = unreadColumns.first(where: { $0.lowercased() == "split" }) else {
      return nil
    }
    return
      "note: \(path): column \(column) does not divide the rows: a file is of one split, which its name or "
      + "ingest.split gives; write a file for each split"
  }

  /// A remark about a list of prompts with further columns, which may be meant as comparisons.
  var promptsAloneLine: String? {
    guard isPromptList, !unreadColumns.isEmpty else { return nil }
    let columns = unreadColumns.prefix(12).joined(separator: ", ")
    return
      "note: \(path): taken for a prompt list; columns not used: \(columns); if they hold a comparison, "
      + "name them in the pipeline file, for example ingest: { columns: { chosen: \"...\", "
      + "rejected: \"...\" } }"
  }
}
