import Files

/// Digests of the tables, to detect damage and to compare catalogs.
///
/// Rows are hashed in an order determined by the data: files by path or by content, rows by number,
/// prompts by digest. Rows refer to each other by content, not by id. So neither the order of
/// insertion nor SQLite's pages matter, and rejections of later stages change nothing: a pair that
/// was moved to the rejects counts as the pair that ingest recorded.
extension CatalogDatabase {
  /// Returns the SHA-256, in hexadecimal, of everything about pairs and prompts that is visible to
  /// later stages.
  ///
  /// The location of files and images is not part of it, and files are ordered by content: the same
  /// data read from other paths gives the same digest.
  public func contentDigest() throws -> String {
    let files = try filesInOrder("identity, path")
    var hash = RowHash()
    try append(.pair, files, to: &hash)
    try append(.listedPrompt, files, to: &hash)
    return hash.finalize()
  }

  /// Records the digests of all tables, once ingest has recorded all rows.
  public func recordDigests() throws {
    let files = try filesInOrder()
    try database.transaction {
      for table in DigestedTable.allCases {
        try database.run(
          "INSERT OR REPLACE INTO digest (table_name, sha256) VALUES (?, ?)", table.rawValue,
          try digest(of: table, files))
      }
    }
  }

  /// Discards the digests, before rows are added.
  public func removeDigests() throws { try database.run("DELETE FROM digest") }

  /// Reads everything and compares it with the recorded digests; a million rows take some seconds.
  ///
  /// - Throws: `CatalogError.damagedTable` naming the table, or the damage that SQLite finds
  public func checkDigests() throws {
    // Also finds an index that misses rows of its table.
    try database.checkIntegrity(withIndices: true)
    let files = try filesInOrder()
    for table in DigestedTable.allCases {
      let recorded = try database.firstRow(
        "SELECT sha256 FROM digest WHERE table_name = ?", table.rawValue
      ) { try $0[0] as String }
      if recorded == nil, table.mayBeMissing { continue }
      guard let recorded else {
        throw CatalogError.damagedTable(
          path: database.path, table: table.rawValue, reason: "has no digest from ingest")
      }
      guard try digest(of: table, files) == recorded else {
        throw CatalogError.damagedTable(
          path: database.path, table: String(table.rawValue.prefix { $0 != "." }),
          reason: "does not contain the rows that ingest recorded")
      }
    }
  }

  private typealias File = (id: Int, path: String)

  private func filesInOrder(_ columns: String = "path") throws -> [File] {
    try database.rows("SELECT id, path FROM source ORDER BY \(columns)") {
      (id: try $0[0] as Int, path: try $0[1] as String)
    }
  }

  private func digest(of table: DigestedTable, _ files: [File]) throws -> String {
    var hash = RowHash()
    try append(table, files, to: &hash)
    return hash.finalize()
  }

  private func append(_ table: DigestedTable, _ files: [File], to hash: inout RowHash) throws {
    if let rows = table.rowsOfNoFile { try database.append(rowsOf: rows, to: &hash) }
    guard let rows = table.rowsOfFile else { return }
    for (ordinal, file) in files.enumerated() {
      hash.append(ordinal)
      hash.append(try database.append(rowsOf: rows, file.id, to: &hash))
    }
  }
}

private enum DigestedTable: String, CaseIterable {
  case source
  case rowGroup = "row_group"
  case prompt
  case image
  case pair
  case listedPrompt = "listed_prompt"
  case reject
  // Columns added later, so that catalogs without their digests remain valid.
  case imageRoot = "source.image_root"
  case part = "pair.part"

  var mayBeMissing: Bool { self == .imageRoot || self == .part }

  /// The rows that belong to no file.
  var rowsOfNoFile: String? {
    switch self {
    case .prompt: "SELECT sha256, text FROM prompt ORDER BY sha256, text"
    case .image: "SELECT uid, sha256 FROM image WHERE source_id IS NULL ORDER BY uid"
    default: nil
    }
  }

  /// The rows of the file with the given id.
  var rowsOfFile: String? {
    switch self {
    case .prompt: nil
    case .source:
      """
      SELECT path, identity, row_count, row_group_count, image_0_column, image_1_column
      FROM source WHERE id = ?1
      """
    case .imageRoot: "SELECT image_root FROM source WHERE id = ?1"
    case .part: "SELECT row, part FROM (\(Self.pairsOfFile)) ORDER BY row, part"
    case .rowGroup:
      "SELECT ordinal, row_count FROM row_group WHERE source_id = ?1 ORDER BY ordinal"
    case .image:
      """
      SELECT row_group, row, column_name, uid, sha256, byte_count, width, height
      FROM image WHERE source_id = ?1 ORDER BY row_group, row, column_name, uid
      """
    case .pair:
      """
      SELECT row, text_digest, uid_0, bytes_0, uid_1, bytes_1, label_0, label_1, weight, split,
        row_group, best_image_uid, ranking_id, user_id, model_0, model_1, created_at, image_0_url,
        image_1_url
      FROM (\(Self.pairsOfFile)) ORDER BY row, part
      """
    case .listedPrompt:
      """
      SELECT row, prompt.sha256, split
      FROM listed_prompt LEFT JOIN prompt ON prompt.id = prompt_id
      WHERE source_id = ?1 ORDER BY row
      """
    case .reject:
      """
      SELECT row, column_name, code, reason, file = (SELECT path FROM source WHERE id = ?1)
      FROM reject WHERE source_id = ?1 AND stage = 'ingest' ORDER BY row, part
      """
    }
  }

  /// The present pairs, and those that later stages have moved to the rejects.
  private static var pairsOfFile: String {
    """
    \(pairs(from: "pair", where: "pair.source_id = ?1"))
    UNION ALL
    \(pairs(
      from: "rejected_pair AS pair",
      where: """
        pair.source_id = ?1 AND EXISTS (
          SELECT 1 FROM reject WHERE reject.source_id = ?1 AND reject.row = pair.row
            AND reject.part = pair.part AND reject.stage <> 'ingest')
        """))
    """
  }

  private static func pairs(from table: String, where condition: String) -> String {
    """
    SELECT pair.*, prompt.sha256 AS text_digest, first.uid AS uid_0, first.sha256 AS bytes_0,
      second.uid AS uid_1, second.sha256 AS bytes_1
    FROM \(table)
    LEFT JOIN prompt ON prompt.id = pair.prompt_id
    LEFT JOIN image AS first ON first.id = pair.image_0_id
    LEFT JOIN image AS second ON second.id = pair.image_1_id
    WHERE \(condition)
    """
  }
}
