/// `catalog.sqlite`: prompts, images and comparisons, and what became of every row read.
public final class CatalogDatabase {
  public static let fileName = "catalog.sqlite"
  public let database: Database

  /// The ids of images by identity, read when the first row is recorded.
  ///
  /// Identities come in random order. An index of them in the file would change a page for every
  /// image and make each dearer than the one before; a million take about 100 MB here.
  var imageIDsByUID: [String: Int]?

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
      rejects: try database.integer("SELECT count(*) FROM reject"))
  }

  /// The number of rejected rows by code, of one stage or of all.
  public func rejectCounts(stage: String? = nil) throws -> [(code: String, count: Int)] {
    try database.rows(
      """
      SELECT code, count(*) FROM reject WHERE ?1 IS NULL OR stage = ?1 GROUP BY code ORDER BY code
      """, stage
    ) { (code: try $0[0], count: try $0[1]) }
  }

  /// The number of pairs of each split.
  public func pairCounts() throws -> [(split: String, count: Int)] {
    try database.rows("SELECT split, count(*) FROM pair GROUP BY split ORDER BY split") {
      (split: try $0[0], count: try $0[1])
    }
  }

  /// Forgets everything that was read.
  public func removeAll() throws {
    imageIDsByUID = nil
    try database.transaction {
      // Children first, so that no foreign key is ever left without its parent.
      for table in [
        "pair", "rejected_pair", "listed_prompt", "reject", "row_group", "image_copy", "image",
        "prompt", "source",
      ] {
        try database.run("DELETE FROM \(table)")
      }
    }
  }
}
