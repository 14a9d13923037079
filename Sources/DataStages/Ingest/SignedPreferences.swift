/// Detects columns `preferred` that contain only 1 and -1 in all sources, which may mean the first
/// and the second image, as is common, or an image and a tie, as in 0, 1 and -1.
struct SignedPreferences {
  /// The first such column.
  private var column: (path: String, name: String)?
  private var values: Set<String> = []
  /// Whether any value shows that -1 is a tie, or that something else is.
  private var isPlain = false

  private struct Plain: Error {}

  /// Reads a file's column up to the first other value, which usually comes early.
  mutating func add(_ file: any RecordFile) throws {
    guard !isPlain, file.plan.form == .pairs, file.hasColumn(.preferred) else { return }
    if column == nil { column = (file.path, file.plan.name(of: .preferred)) }
    do {
      for block in file.blockRowCounts.indices {
        try file.forEachRow(inBlock: block, only: .preferred) { _, row in
          // Unreadable values are reported when the rows are read.
          guard let text = try? row.get().choice(.preferred), !text.isEmpty else { return }
          let word = RowLabels.word(text)
          guard ["1", "-1"].contains(word) else { throw Plain() }
          values.insert(word)
        }
      }
    } catch is Plain {
      isPlain = true
    }
  }

  /// Throws if it is ambiguous which is meant, once all files are added.
  func requireNone() throws(SourceError) {
    guard !isPlain, values.count == 2, let column else { return }
    throw .signedPreferences(path: column.path, column: column.name)
  }
}
