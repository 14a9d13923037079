import Files

/// What sources are taken for, a line for each kind of source.
struct SourceReadings {
  private var kinds: [(meaning: String, columns: String, first: String, count: Int)] = []
  /// What lists of prompts hold beside the prompts.
  private var leftOut: [String] = []

  mutating func add(_ file: any RecordFile) {
    let columns = file.usedColumns.map(\.column).joined(separator: ", ")
    let meaning = "\(file.plan.form.rawValue): \(file.plan.form.meaning)"
    if let line = file.promptsAloneLine, leftOut.isEmpty { leftOut.append(line) }
    let index = kinds.firstIndex { $0.meaning == meaning && $0.columns == columns }
    guard let index else { return kinds.append((meaning, columns, file.path, 1)) }
    kinds[index].count += 1
  }

  var lines: [String] {
    leftOut
      + kinds.map { kind in
        let more = kind.count > 1 ? " and \(kind.count - 1) more" : ""
        return "\(kind.first)\(more): read as \(kind.meaning); columns \(kind.columns)".printable
      }
  }
}

extension RecordFile {
  /// The columns that are read, with what each is taken for.
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

  /// What is to be said of a list of prompts that holds more, which may be meant as comparisons.
  var promptsAloneLine: String? {
    guard isPromptList, !unreadColumns.isEmpty else { return nil }
    let columns = unreadColumns.prefix(12).joined(separator: ", ")
    return
      "note: \(path): taken for a prompt list; columns not used: \(columns); if they hold a comparison, "
      + "name them in the pipeline file, for example ingest: { columns: { chosen: \"...\", "
      + "rejected: \"...\" } }"
  }
}
