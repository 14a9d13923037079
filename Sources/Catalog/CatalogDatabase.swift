/// `catalog.sqlite`: prompts, images and comparisons, and the outcome of every row read.
public final class CatalogDatabase {
  public static let fileName = "catalog.sqlite"
  public let database: Database

  /// The prompts and images that new rows may share, loaded when the first is recorded.
  var knownIDs: KnownIDs?

  public init(path: String, access: Database.Access = .readWrite) throws {
    database = try Database(path: path, access: access)
    try database.migrate(to: .catalog)
  }

  public func counts() throws -> CatalogCounts {
    CatalogCounts(
      prompts: try database.integer("SELECT count(*) FROM prompt"),
      images: try database.integer("SELECT count(*) FROM image"),
      pairs: try database.integer("SELECT count(*) FROM pair"),
      listedPrompts: try database.integer("SELECT count(*) FROM listed_prompt"),
      rejections: try database.integer("SELECT count(*) FROM reject"))
  }

  /// Returns the number of rejected rows by code, of one stage or of all.
  public func rejectionCounts(stage: String? = nil) throws -> [(code: String, count: Int)] {
    try database.rows(
      """
      SELECT code, count(*) FROM reject WHERE ?1 IS NULL OR stage = ?1 GROUP BY code ORDER BY code
      """, stage
    ) { (code: try $0[0], count: try $0[1]) }
  }

  /// Returns the number of pairs of each split.
  public func pairCounts() throws -> [(split: String, count: Int)] {
    try database.rows("SELECT split, count(*) FROM pair GROUP BY split ORDER BY split") {
      (split: try $0[0], count: try $0[1])
    }
  }

  /// Indices by keys other than row ids, see ``Schema/catalog``.
  private static let indices = [
    ("prompt_by_digest", "prompt (sha256)"),
    ("image_by_digest", "image (sha256)"),
    ("image_by_location", "image (source_id, row_group, row)"),
    ("pair_by_prompt", "pair (prompt_id, split)"),
    ("pair_by_image_0", "pair (image_0_id)"),
    ("pair_by_image_1", "pair (image_1_id)"),
    ("listed_prompt_by_prompt", "listed_prompt (prompt_id, split)"),
  ]

  /// Creates the indices that queries need, once all rows are in.
  public func makeIndices() throws {
    try database.transaction {
      for (name, columns) in Self.indices {
        try database.execute("CREATE INDEX IF NOT EXISTS \(name) ON \(columns)")
      }
    }
  }

  /// Drops the indices before many rows are recorded, since each row would update them.
  public func dropIndices() throws {
    try database.transaction {
      for (name, _) in Self.indices { try database.execute("DROP INDEX IF EXISTS \(name)") }
    }
  }

  /// Deletes everything that was read.
  public func removeAll() throws {
    knownIDs = nil
    try database.transaction {
      // Children first, so that no foreign key ever lacks its parent.
      for table in [
        "pair", "rejected_pair", "listed_prompt", "reject", "row_group", "image_copy", "image",
        "prompt", "source", "digest",
      ] {
        try database.run("DELETE FROM \(table)")
      }
    }
  }
}
