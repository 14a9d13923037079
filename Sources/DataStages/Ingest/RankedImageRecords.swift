import Files

/// Rankings with one image per row, as in ImageRewardDB: consecutive rows with the same `prompt_id`
/// form one ranking.
///
/// A block is one of the file's blocks, minus leading rows of the previous ranking, plus the
/// following rows of its last ranking. A ranking has the number of its first row.
final class RankedImageRecords: RecordFile {
  private let file: any RecordFile
  /// The first row of each ranking.
  private let starts: Set<Int>
  let blockRowCounts: [Int]

  var path: String { file.path }
  var columnNames: [String] { file.columnNames }
  var plan: ColumnPlan { file.plan }

  /// - Parameter file: must have readable columns
  init(_ file: any RecordFile) throws {
    self.file = file
    var starts: [Int] = []
    var known: [String: Int] = [:]
    var last: String?
    for block in file.blockRowCounts.indices {
      try file.forEachRow(inBlock: block, only: .promptID) { row, values in
        // A row that is unreadable or empty belongs to the previous ranking, as a reject.
        let id = Self.rankingID(values)
        guard starts.isEmpty || id != nil && id != last else { return }
        starts.append(row)
        last = id
        guard let id else { return }
        if let earlier = known.updateValue(row, forKey: id) {
          throw SourceError.malformed(
            path: file.path,
            reason:
              "row \(row): \(file.plan.name(of: .promptID)) \(id.prefix(60).description.printable)"
              + " is also at row \(earlier), with other values in between; sort the file by this column"
          )
        }
      }
    }
    let blockStarts = file.blockStarts
    let rowCount = blockStarts.last ?? 0
    let limits = blockStarts.map { start in starts.first { $0 >= start } ?? rowCount }
    blockRowCounts = zip(limits, limits.dropFirst()).map { $1 - $0 }
    self.starts = Set(starts)
  }

  private static func rankingID(_ values: Result<any RowValues, RowRejection>) -> String? {
    try? values.get().choice(.promptID)
  }

  func hasColumn(_ field: RecordField) -> Bool { file.hasColumn(field) }
  func columnProblems() -> [any Error] { file.columnProblems() }

  func image(block: Int, row: Int, column: String) throws -> EncodedImage {
    try file.image(block: block, row: row, column: column)
  }

  func forEachRow(
    inBlock block: Int, only field: RecordField?,
    _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    let first = blockStarts[block]
    let end = first + blockRowCounts[block]
    guard first < end else { return }
    guard field != .caption else { return try forEachCaption(from: first, to: end, body) }
    var ranking: Ranking?
    func finish() throws {
      guard let complete = ranking else { return }
      ranking = nil
      try body(complete.row, .success(complete))
    }
    let fileStarts = file.blockStarts
    for fileBlock in file.blockRowCounts.indices
    where fileStarts[fileBlock] < end && fileStarts[fileBlock + 1] > first {
      try file.forEachRow(inBlock: fileBlock) { row, values in
        guard (first..<end).contains(row) else { return }
        if starts.contains(row) { try finish() }
        do {
          let entry = try Ranking.Entry(try values.get(), (fileBlock, row))
          guard ranking != nil else {
            ranking = Ranking(entry)
            return
          }
          try ranking?.append(entry)
        } catch let rejection as RowRejection {
          // The rest of its ranking is compared without it.
          try body(row, .failure(rejection))
        }
      }
    }
    try finish()
  }

  /// Calls `body` with the prompts, each repeated for every row of its ranking.
  private func forEachCaption(
    from first: Int, to end: Int, _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    let fileStarts = file.blockStarts
    for fileBlock in file.blockRowCounts.indices
    where fileStarts[fileBlock] < end && fileStarts[fileBlock + 1] > first {
      try file.forEachRow(inBlock: fileBlock, only: .caption) { row, values in
        if (first..<end).contains(row) { try body(row, values) }
      }
    }
  }
}

/// The rows of a ranking, combined into one.
private struct Ranking: RowValues {
  /// The contents of one row.
  struct Entry {
    let place: (rowGroup: Int, row: Int)
    let caption: String
    let rank: Double
    let image: EncodedImage
    let annotator: String?

    init(_ values: some RowValues, _ place: (rowGroup: Int, row: Int)) throws {
      self.place = place
      guard try values.choice(.promptID) != nil else { throw RowRejection.missing(.promptID) }
      caption = try Record.caption(values)
      guard let rank = try values.number(.rank) else { throw RowRejection.missing(.rank) }
      guard let image = try values.image(.image) else { throw RowRejection.missing(.image) }
      self.rank = rank
      self.image = image
      annotator = try values.choice(.userID)
    }
  }

  private var entries: [Entry]

  init(_ entry: Entry) { entries = [entry] }

  var row: Int { entries[0].place.row }

  mutating func append(_ entry: Entry) throws(RowRejection) {
    guard entry.caption == entries[0].caption else {
      throw RowRejection(.caption, "bad-ranking", "its prompt differs from that of row \(row)")
    }
    guard entries.count < Record.imageLimit else {
      throw RowRejection(
        .image, "bad-ranking", "its ranking has more than \(Record.imageLimit) images")
    }
    entries.append(entry)
  }

  func text(_ field: RecordField) throws -> String? {
    field == .caption ? entries[0].caption : nil
  }

  func choice(_ field: RecordField) throws -> String? {
    field == .userID ? entries[0].annotator : nil
  }

  func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]? {
    entries.map { .success($0.image) }
  }

  func numbers(_ field: RecordField) throws -> [Double]? {
    field == .ranks ? entries.map(\.rank) : nil
  }

  func place(ofImage index: Int) -> (rowGroup: Int, row: Int)? { entries[index].place }
  func number(_ field: RecordField) throws -> Double? { nil }
  func truth(_ field: RecordField) throws -> Bool? { nil }
  func image(_ field: RecordField) throws -> EncodedImage? { nil }
}
