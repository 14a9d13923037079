import Files

/// What sources are taken for, a line for each kind of source.
struct SourceReadings {
  private var kinds: [(meaning: String, columns: String, first: String, count: Int)] = []

  mutating func add(_ file: any RecordFile) {
    let columns = file.usedColumns.map(\.column).joined(separator: ", ")
    let meaning = "\(file.plan.form.rawValue): \(file.plan.form.meaning)"
    let index = kinds.firstIndex { $0.meaning == meaning && $0.columns == columns }
    guard let index else { return kinds.append((meaning, columns, file.path, 1)) }
    kinds[index].count += 1
  }

  var lines: [String] {
    kinds.map { kind in
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
}
