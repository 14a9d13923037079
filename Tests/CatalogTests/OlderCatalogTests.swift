import Catalog
import TestSupport
import Testing

/// Catalogs of the first version, whose tables had further keys and whose indices were there from the start.
struct OlderCatalogTests {
  private static let tables = """
    CREATE TABLE source (
      id INTEGER PRIMARY KEY,
      path TEXT NOT NULL UNIQUE,
      identity TEXT NOT NULL,
      row_count INTEGER NOT NULL,
      row_group_count INTEGER NOT NULL,
      image_0_column TEXT,
      image_1_column TEXT
    ) STRICT;

    CREATE TABLE row_group (
      source_id INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
      ordinal INTEGER NOT NULL,
      row_count INTEGER NOT NULL,
      PRIMARY KEY (source_id, ordinal)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE prompt (
      id INTEGER PRIMARY KEY,
      text TEXT NOT NULL UNIQUE,
      sha256 TEXT NOT NULL UNIQUE
    ) STRICT;

    CREATE TABLE image (
      id INTEGER PRIMARY KEY,
      uid TEXT NOT NULL UNIQUE,
      sha256 TEXT,
      byte_count INTEGER,
      width INTEGER,
      height INTEGER,
      source_id INTEGER REFERENCES source (id),
      row_group INTEGER,
      row INTEGER,
      column_name TEXT
    ) STRICT;
    CREATE INDEX image_by_location ON image (source_id, row_group, row);

    CREATE TABLE image_copy (
      image_id INTEGER PRIMARY KEY REFERENCES image (id) ON DELETE CASCADE,
      bytes BLOB NOT NULL
    ) STRICT;

    CREATE TABLE pair (
      id INTEGER PRIMARY KEY,
      prompt_id INTEGER NOT NULL REFERENCES prompt (id),
      image_0_id INTEGER NOT NULL REFERENCES image (id),
      image_1_id INTEGER NOT NULL REFERENCES image (id),
      label_0 REAL NOT NULL,
      label_1 REAL NOT NULL,
      weight REAL NOT NULL,
      split TEXT NOT NULL,
      source_id INTEGER NOT NULL REFERENCES source (id),
      row_group INTEGER NOT NULL,
      row INTEGER NOT NULL,
      best_image_uid TEXT,
      ranking_id INTEGER,
      user_id INTEGER,
      model_0 TEXT,
      model_1 TEXT,
      created_at TEXT,
      image_0_url TEXT,
      image_1_url TEXT,
      UNIQUE (source_id, row)
    ) STRICT;
    CREATE INDEX pair_by_prompt ON pair (prompt_id, split);
    CREATE INDEX pair_by_image_0 ON pair (image_0_id);
    CREATE INDEX pair_by_image_1 ON pair (image_1_id);

    CREATE TABLE listed_prompt (
      source_id INTEGER NOT NULL REFERENCES source (id),
      row INTEGER NOT NULL,
      prompt_id INTEGER NOT NULL REFERENCES prompt (id),
      split TEXT NOT NULL,
      PRIMARY KEY (source_id, row)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX listed_prompt_by_prompt ON listed_prompt (prompt_id, split);

    CREATE TABLE reject (
      id INTEGER PRIMARY KEY,
      source_id INTEGER NOT NULL REFERENCES source (id),
      file TEXT NOT NULL,
      row INTEGER NOT NULL,
      column_name TEXT,
      stage TEXT NOT NULL,
      code TEXT NOT NULL,
      reason TEXT NOT NULL,
      UNIQUE (source_id, row)
    ) STRICT;

    CREATE TABLE rejected_pair AS SELECT * FROM pair WHERE 0;
    """

  /// Creates the state that an interrupted run of that version left.
  private static let rows = """
    INSERT INTO source VALUES (1, 'a.parquet', '1', 4, 2, 'jpg_0', 'jpg_1');
    INSERT INTO row_group VALUES (1, 0, 2);
    INSERT INTO prompt VALUES
      (1, 'a fox', '5ebbe2a2650a5e157c4f8e6720167485236ce883498722718171efe14efab41c');
    INSERT INTO image VALUES (1, 'x', 'digest of x', 100, 64, 64, 1, 0, 0, 'jpg_0');
    INSERT INTO image VALUES (2, 'y', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO pair (
      id, prompt_id, image_0_id, image_1_id, label_0, label_1, weight, split, source_id, row_group, row)
    VALUES (1, 1, 1, 2, 1, 0, 1, 'train', 1, 0, 0), (2, 1, 2, 1, 0, 1, 1, 'train', 1, 0, 1);
    """

  private func withOldCatalog(_ body: (CatalogDatabase) throws -> Void) throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/catalog.sqlite"
      let old = try Database(path: path)
      try old.execute(
        """
        PRAGMA application_id = \(0x5350_4f63);
        CREATE TABLE migration (ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
        INSERT INTO migration VALUES (0, 'first tables'), (1, 'rejected pairs are kept');
        """)
      try old.execute(Self.tables)
      try old.execute(Self.rows)
      try body(try CatalogDatabase(path: path))
    }
  }

  private func image(_ uid: String, _ column: String) -> RowGroupContents.Image {
    RowGroupContents.Image(
      uid: uid,
      content: RowGroupContents.Image.Content(
        sha256: "digest of \(uid)", byteCount: 100, width: 64, height: 64, column: column))
  }

  private func rest() -> RowGroupContents {
    var contents = RowGroupContents(ordinal: 1, rowCount: 2)
    contents.pairs = [(2, "a fox", "y", "z"), (3, "a hen", "z", "x")].map { row, prompt, one, two in
      RowGroupContents.Pair(
        row: row, prompt: prompt, image0: image(one, "jpg_0"), image1: image(two, "jpg_1"),
        label0: 1, label1: 0, weight: 1, split: "train")
    }
    return contents
  }

  @Test(
    "a catalog of the first version goes on: its prompts and images are shared, images get their bytes"
  )
  func goesOn() throws {
    try withOldCatalog { catalog throws in
      let source = try #require(try catalog.sources().first)
      #expect(try catalog.recordedRowGroups(ofSource: source.id) == [0])
      try catalog.dropIndices()
      #expect(try catalog.record(rest(), of: source) == 0)
      try catalog.makeIndices()
      #expect(
        try catalog.counts()
          == CatalogCounts(prompts: 2, images: 3, pairs: 4, listedPrompts: 0, rejections: 0))
      let bytes = try catalog.database.rows("SELECT uid, sha256 FROM image ORDER BY id") { row in
        "\(try row[0] as String): \(try row[1] as String)"
      }
      #expect(bytes == ["x: digest of x", "y: digest of y", "z: digest of z"])
      let integrity = try catalog.database.rows("PRAGMA integrity_check") { try $0[0] as String }
      #expect(integrity == ["ok"])
    }
  }

  @Test("a catalog of the first version can be emptied and filled again")
  func again() throws {
    try withOldCatalog { catalog throws in
      try catalog.removeAll()
      _ = try catalog.addSource(
        path: "a.parquet", identity: "2", rowCount: 4, rowGroupCount: 2, image0Column: "jpg_0",
        image1Column: "jpg_1")
      let source = try #require(try catalog.sources().first)
      #expect(try catalog.record(rest(), of: source) == 0)
      #expect(try catalog.counts().pairs == 2)
    }
  }
}
