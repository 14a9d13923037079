extension CatalogDatabase {
  /// A pair to be moved to the rejects.
  public struct PairRejection: Sendable {
    public var pair: Int
    public var code: String
    public var reason: String

    public init(pair: Int, code: String, reason: String) {
      self.pair = pair
      self.code = code
      self.reason = reason
    }
  }

  /// Moves pairs to the rejects, all or none.
  public func rejectPairs(_ rejections: [PairRejection], stage: String) throws {
    try database.transaction {
      for rejection in rejections {
        try database.run(
          """
          INSERT INTO reject (source_id, file, row, part, column_name, stage, code, reason)
          SELECT source.id, source.path, pair.row, pair.part, NULL, ?2, ?3, ?4
          FROM pair JOIN source ON source.id = pair.source_id WHERE pair.id = ?1
          """, rejection.pair, stage, rejection.code, rejection.reason)
        try setAside("id = ?1", rejection.pair)
      }
    }
  }

  /// An image that replaces one side of a pair.
  public struct ImageReplacement: Sendable {
    public var pair: Int
    /// 0 or 1.
    public var side: Int
    public var image: Int

    public init(pair: Int, side: Int, image: Int) {
      self.pair = pair
      self.side = side
      self.image = image
    }
  }

  /// Replaces images in pairs, all or none.
  public func replaceImages(_ replacements: [ImageReplacement]) throws {
    try database.transaction {
      for replacement in replacements {
        try database.run(
          "UPDATE pair SET image_\(replacement.side == 0 ? 0 : 1)_id = ?2 WHERE id = ?1",
          replacement.pair, replacement.image)
      }
    }
  }

  /// Reverts a stage's rejections: its pairs are pairs again.
  public func restorePairs(rejectedBy stage: String) throws {
    try database.transaction {
      let rejected =
        "(source_id, row, part) IN (SELECT source_id, row, part FROM reject WHERE stage = ?1)"
      try database.run("INSERT INTO pair SELECT * FROM rejected_pair WHERE \(rejected)", stage)
      try database.run("DELETE FROM rejected_pair WHERE \(rejected)", stage)
      try database.run("DELETE FROM reject WHERE stage = ?1", stage)
    }
  }

  /// Makes queries treat pairs that a stage rejected as pairs, for a read-only connection.
  public func showPairs(rejectedBy stage: String) throws {
    guard
      try database.integer("SELECT EXISTS (SELECT 1 FROM main.reject WHERE stage = ?)", stage) == 1
    else { return }
    try database.run(
      """
      CREATE TEMP TABLE shown_pair AS SELECT * FROM rejected_pair
      WHERE (source_id, row) IN (SELECT source_id, row FROM reject WHERE stage = ?)
      """, stage)
    for column in ["prompt_id", "image_0_id", "image_1_id"] {
      try database.execute("CREATE INDEX temp.shown_by_\(column) ON shown_pair (\(column))")
    }
    // A name without a database is looked up among temporary tables first.
    try database.execute(
      """
      CREATE TEMP VIEW pair AS
      SELECT * FROM main.pair UNION ALL SELECT * FROM temp.shown_pair
      """)
  }

  /// Rejects the pairs that later stages have rejected in another catalog of the same content.
  public func takeOverRejections(
    from earlier: CatalogDatabase, exceptOf stage: String
  ) throws {
    // Files keep their order by content, not their paths or ids.
    func inOrder(_ catalog: CatalogDatabase) throws -> [SourceRecord] {
      try catalog.sources().sorted { ($0.identity, $0.path) < ($1.identity, $1.path) }
    }
    let ids = try inOrder(self).map(\.id)
    let positions = Dictionary(
      uniqueKeysWithValues: try inOrder(earlier).enumerated().map { ($0.element.id, $0.offset) })
    let rejections = try earlier.database.rows(
      "SELECT source_id, row, column_name, stage, code, reason, part FROM reject WHERE stage <> ?",
      stage
    ) { row in
      (
        source: try row[0] as Int, row: try row[1] as Int, column: try row[2] as String?,
        stage: try row[3] as String, code: try row[4] as String, reason: try row[5] as String,
        part: try row[6] as Int
      )
    }
    try database.transaction {
      for rejection in rejections {
        guard let place = positions[rejection.source] else { continue }
        try database.run(
          """
          INSERT INTO reject (source_id, file, row, column_name, stage, code, reason, part)
          SELECT id, path, ?2, ?3, ?4, ?5, ?6, ?7 FROM source WHERE id = ?1
          """, ids[place], rejection.row, rejection.column, rejection.stage, rejection.code,
          rejection.reason,
          rejection.part)
      }
      let rejected =
        "(source_id, row, part) IN (SELECT source_id, row, part FROM reject WHERE stage <> ?1)"
      try database.run("INSERT INTO rejected_pair SELECT * FROM pair WHERE \(rejected)", stage)
      try database.run("DELETE FROM pair WHERE \(rejected)", stage)
    }
  }

  /// Moves the pairs that satisfy `condition` out of the table of pairs.
  func setAside(_ condition: String, _ value: Int) throws {
    try database.run("INSERT INTO rejected_pair SELECT * FROM pair WHERE \(condition)", value)
    try database.run("DELETE FROM pair WHERE \(condition)", value)
  }

  /// Returns the number of rows that `stage` rejected, by code.
  public func rejectionCountsByCode(stage: String) throws -> [String: Int] {
    Dictionary(uniqueKeysWithValues: try rejectionCounts(stage: stage).map { ($0.code, $0.count) })
  }

  /// Returns the number of rejected rows, by file and code.
  public func rejectionCountsBySource() throws -> [(path: String, code: String, count: Int)] {
    try database.rows(
      """
      SELECT path, code, count(*) FROM reject JOIN source ON source.id = source_id
      GROUP BY path, code ORDER BY path, code
      """
    ) { (path: try $0[0], code: try $0[1], count: try $0[2]) }
  }

  /// Returns the number of rows rejected at least in part for their contents, not by a filter.
  public func badRowCount() throws -> Int {
    try database.integer(
      """
      SELECT count(*) FROM (
        SELECT DISTINCT source_id, row FROM reject WHERE code NOT LIKE 'filtered-%')
      """)
  }

  /// Why a row, or a pair of it, is not used.
  public struct RejectedRow: Equatable, Sendable {
    public var file: String
    /// Counted from 0.
    public var row: Int
    public var column: String?
    public var stage: String
    public var code: String
    public var reason: String
  }

  /// Calls `body` with all rejected rows, file by file.
  public func forEachRejection(_ body: (RejectedRow) throws -> Void) throws {
    try database.forEachRow(
      """
      SELECT file, row, column_name, stage, code, reason FROM reject ORDER BY file, row, id
      """
    ) {
      try body(
        RejectedRow(
          file: try $0[0], row: try $0[1], column: try $0[2], stage: try $0[3], code: try $0[4],
          reason: try $0[5]))
    }
  }

  /// The rejected rows of one code, with the reason, file, row and column of the first.
  public struct RejectionExample: Equatable, Sendable {
    public var code: String
    public var count: Int
    public var example: String
  }

  /// Returns every code with its number of rows and its first row, by code.
  public func rejectionExamples() throws -> [RejectionExample] {
    // With a minimum, SQLite takes the other columns from the row that has it.
    try database.rows(
      """
      SELECT code, count(*),
        file || ': row ' || row || ifnull(', column ' || column_name, '') || ': ' || reason, min(id)
      FROM reject GROUP BY code ORDER BY code
      """
    ) { RejectionExample(code: try $0[0], count: try $0[1], example: try $0[2]) }
  }

  /// The outcome of the rows of one file.
  public struct SourceCounts: Equatable, Sendable {
    public var path: String
    /// The number of rows in the file's recorded row groups.
    public var rows: Int
    /// The number of outcomes expected: one per row, except in rankings.
    public var outcomes: Int
    public var pairs: Int
    public var listedPrompts: Int
    public var rejections: Int

    /// Whether every row became the pairs, listed prompt or rejects that it contains.
    public var isBalanced: Bool { outcomes == pairs + listedPrompts + rejections }
  }

  /// Returns the outcome of the rows of each file, by path.
  public func countsBySource() throws -> [SourceCounts] {
    try database.rows(
      """
      SELECT path,
        (SELECT coalesce(sum(row_count), 0) FROM row_group WHERE source_id = source.id),
        (SELECT coalesce(sum(outcome_count), 0) FROM row_group WHERE source_id = source.id),
        (SELECT count(*) FROM pair WHERE source_id = source.id),
        (SELECT count(*) FROM listed_prompt WHERE source_id = source.id),
        (SELECT count(*) FROM reject WHERE source_id = source.id)
      FROM source ORDER BY path
      """
    ) { row in
      SourceCounts(
        path: try row[0], rows: try row[1], outcomes: try row[2], pairs: try row[3],
        listedPrompts: try row[4], rejections: try row[5])
    }
  }

  /// Returns the number of recorded rows.
  public func readRowCount() throws -> Int {
    try database.integer("SELECT coalesce(sum(row_count), 0) FROM row_group")
  }

  /// Returns counts of the labels of a split, prompt by prompt in the order of their digests.
  public func labelCounts(
    inSplit split: String
  ) throws -> [(sha256: String, counts: LabelCounts)] {
    try database.rows(
      """
      SELECT sha256, sum(label_0 <> label_1), sum(label_0 = label_1 AND label_0 <> 0),
        sum(label_0 = label_1 AND label_0 = 0),
        coalesce(sum(label_0 <> label_1 AND (image_0_id = image_1_id
          OR (SELECT sha256 FROM image WHERE id = image_0_id)
            = (SELECT sha256 FROM image WHERE id = image_1_id))), 0)
      FROM pair JOIN prompt ON prompt.id = prompt_id WHERE split = ?
      GROUP BY prompt.id ORDER BY sha256
      """, split
    ) { row in
      var counts = LabelCounts()
      (counts.decided, counts.ties, counts.unlabelled) = (try row[1], try row[2], try row[3])
      counts.alike = try row[4]
      return (sha256: try row[0], counts: counts)
    }
  }

  /// Returns the number of prompts that have pairs in `train` and in another split.
  public func sharedPromptCount() throws -> Int {
    try database.integer(
      """
      SELECT count(*) FROM prompt
      WHERE EXISTS (SELECT 1 FROM pair WHERE prompt_id = prompt.id AND split = 'train')
        AND EXISTS (SELECT 1 FROM pair WHERE prompt_id = prompt.id AND split <> 'train')
      """)
  }

  /// Returns the number of pairs that compare an image with itself, by its bytes.
  public func selfComparisonCount() throws -> Int {
    try database.integer(
      """
      SELECT count(*) FROM pair
      JOIN image AS first ON first.id = image_0_id JOIN image AS second ON second.id = image_1_id
      WHERE first.id = second.id OR first.sha256 = second.sha256
      """)
  }

  /// Returns the first reasons for which `stage` rejected rows with a code.
  public func rejectReasons(stage: String, code: String, limit: Int) throws -> [String] {
    try database.rows(
      "SELECT reason FROM reject WHERE stage = ? AND code = ? ORDER BY rowid LIMIT ?", stage, code,
      limit
    ) { try $0[0] }
  }
}
