/// Whether the columns `preferred` of all sources hold 1 and -1 alone: the first and the second image, as many write
/// them, or an image and a tie, as 0, 1 and -1 are.
struct SignedPreferences {
  /// The first such column.
  private var column: (path: String, name: String)?
  private var values: Set<String> = []
  /// Whether any value shows that -1 is a tie, or what else stands for one.
  private var isPlain = false

  private struct Plain: Error {}

  /// Reads a file's column to the first value that is neither, which is mostly among the first rows.
  mutating func add(_ file: any RecordFile) throws {
    guard !isPlain, file.plan.form == .pairs, file.hasColumn(.preferred) else { return }
    if column == nil { column = (file.path, file.plan.name(of: .preferred)) }
    do {
      for block in file.blockRowCounts.indices {
        try file.forEachRow(inBlock: block, only: .preferred) { _, row in
          // What cannot be read is for the rows to say.
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

  /// Refuses to guess which of both is meant, when all files are added.
  func requireNone() throws(SourceError) {
    guard !isPlain, values.count == 2, let column else { return }
    throw .signedPreferences(path: column.path, column: column.name)
  }
}
