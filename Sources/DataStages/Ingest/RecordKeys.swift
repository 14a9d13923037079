import Files

/// The keys of a JSON or JSONL file's records: the union over all records.
enum RecordKeys {
  /// Returns the members of all elements, in order of first appearance.
  static func union(
    of elements: [JSON], path: String, _ options: ReadingOptions
  ) throws -> ColumnCounts {
    var keys = KeyUnion(options)
    for element in elements { keys.add(element) }
    return try keys.found(path: path)
  }

  /// Returns the same for lines, read until every field of the published form has appeared; a line
  /// that is not JSON, or not a record, adds nothing.
  static func union(
    of file: RegularFile, _ blocks: [TextBlocks.Block], _ options: ReadingOptions
  ) throws -> ColumnCounts {
    var keys = KeyUnion(options)
    for block in blocks where !keys.isComplete {
      let bytes = try file.read(at: block.offset, count: block.byteCount)
      for record in TextBlocks.records(in: bytes, separator: nil) where !keys.isComplete {
        do {
          keys.add(try JSON(parsing: Array(record), dialect: .python, source: "the first record"))
        } catch {
          keys.note("\(error)")
        }
      }
    }
    return try keys.found(path: file.path)
  }
}

private struct KeyUnion {
  /// The name of the value that a bare string gives.
  private let promptName: String
  /// Fields of the published form that have not appeared yet.
  private var missing: Set<String>
  private var keys: [String] = []
  /// The number of records that have each.
  private var counts: [String: Int] = [:]
  private var hasPrompts = false
  private var problem: String?

  init(_ options: ReadingOptions) {
    promptName = options.promptName
    missing = Set(
      ColumnPlan.published.filter { !$0.isProvenance && $0 != .examplesPerPrompt && $0 != .weight }
        .map { options.columns[$0] ?? $0.rawValue })
  }

  var isComplete: Bool { missing.isEmpty }

  mutating func add(_ record: JSON) {
    if let object = record.object {
      for key in object.keys {
        counts[key, default: 0] += 1
        guard counts[key] == 1 else { continue }
        keys.append(key)
        missing.remove(key)
      }
    } else if record.string != nil {
      hasPrompts = true
    } else {
      note("the first record is \(record.kind), not an object")
    }
  }

  mutating func note(_ problem: String) { if self.problem == nil { self.problem = problem } }

  /// Throws if there are records, but none that can be read.
  ///
  /// Strings are prompts if all records are strings.
  func found(path: String) throws -> ColumnCounts {
    if !keys.isEmpty { return ColumnCounts(names: keys, counts: counts) }
    if hasPrompts { return ColumnCounts([promptName]) }
    if let problem { throw SourceError.malformed(path: path, reason: problem) }
    return ColumnCounts([])
  }
}
