extension Schema {
  /// `catalog.sqlite`: the data read, its sources, and the outcome of every row.
  ///
  /// An image's bytes stay in their source unless they were copied: `source_id`, `row_group`, `row`
  /// and `column_name` locate them. Digests are SHA-256 in lower-case hexadecimal.
  ///
  /// While rows are inserted, every key grows monotonically. Other keys arrive in random order: an
  /// index of them would change a page for every row and make each more expensive than the last.
  /// ``CatalogDatabase/makeIndices()`` creates those once all rows are in.
  static let catalog = Schema(
    kind: "a catalog", applicationID: 0x5350_4f63,  // "SPOc"
    migrations: [
      Migration(
        name: "first tables",
        sql: """
          CREATE TABLE source (
            id INTEGER PRIMARY KEY,
            path TEXT NOT NULL UNIQUE,
            identity TEXT NOT NULL,        -- changes when the file's content does
            row_count INTEGER NOT NULL,
            row_group_count INTEGER NOT NULL,
            image_0_column TEXT,           -- NULL for a list of prompts
            image_1_column TEXT
          ) STRICT;

          -- A row here says that the row group is in, completely.
          CREATE TABLE row_group (
            source_id INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            row_count INTEGER NOT NULL,
            PRIMARY KEY (source_id, ordinal)
          ) STRICT, WITHOUT ROWID;

          CREATE TABLE prompt (
            id INTEGER PRIMARY KEY,
            text TEXT NOT NULL,            -- unique, see CatalogDatabase.knownIDs
            sha256 TEXT NOT NULL           -- of the text's UTF-8 bytes; orders the shards
          ) STRICT;

          CREATE TABLE image (
            id INTEGER PRIMARY KEY,
            uid TEXT NOT NULL,             -- unique, see CatalogDatabase.knownIDs
            sha256 TEXT,                   -- of the encoded bytes; NULL until bytes are seen
            byte_count INTEGER,
            width INTEGER,
            height INTEGER,
            source_id INTEGER REFERENCES source (id),
            row_group INTEGER,
            row INTEGER,                   -- in the file, from 0
            column_name TEXT
          ) STRICT;

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

          -- Prompts from lists, which have no pairs.
          CREATE TABLE listed_prompt (
            source_id INTEGER NOT NULL REFERENCES source (id),
            row INTEGER NOT NULL,
            prompt_id INTEGER NOT NULL REFERENCES prompt (id),
            split TEXT NOT NULL,
            PRIMARY KEY (source_id, row)
          ) STRICT, WITHOUT ROWID;

          CREATE TABLE reject (
            id INTEGER PRIMARY KEY,
            source_id INTEGER NOT NULL REFERENCES source (id),
            file TEXT NOT NULL,
            row INTEGER NOT NULL,
            column_name TEXT,
            stage TEXT NOT NULL,
            code TEXT NOT NULL,            -- one of a few stable words, to count by
            reason TEXT NOT NULL,
            UNIQUE (source_id, row)
          ) STRICT;
          """),
      Migration(
        name: "rejected pairs are kept",
        sql: """
          -- The pairs behind rejects of later stages, which other settings may take back.
          CREATE TABLE rejected_pair AS SELECT * FROM pair WHERE 0;
          """),
      Migration(
        name: "digests of tables",
        sql: """
          CREATE TABLE digest (
            table_name TEXT PRIMARY KEY,
            sha256 TEXT NOT NULL           -- of its rows, see CatalogDatabase.recordDigests
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX rejected_pair_by_row ON rejected_pair (source_id, row);
          """),
      Migration(
        name: "several pairs of one row",
        sql: """
          -- Where the paths of images start; NULL: at the file's own folder.
          ALTER TABLE source ADD COLUMN image_root TEXT;
          -- Pairs, prompts and rejects that the rows became; more than rows where they hold rankings.
          ALTER TABLE row_group ADD COLUMN outcome_count INTEGER NOT NULL DEFAULT 0;
          UPDATE row_group SET outcome_count = row_count;

          CREATE TABLE pair_of_row (
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
            part INTEGER NOT NULL DEFAULT 0,  -- which of its row's pairs
            UNIQUE (source_id, row, part)
          ) STRICT;
          INSERT INTO pair_of_row SELECT *, 0 FROM pair;
          DROP TABLE pair;
          ALTER TABLE pair_of_row RENAME TO pair;
          ALTER TABLE rejected_pair ADD COLUMN part INTEGER NOT NULL DEFAULT 0;

          CREATE TABLE reject_of_row (
            id INTEGER PRIMARY KEY,
            source_id INTEGER NOT NULL REFERENCES source (id),
            file TEXT NOT NULL,
            row INTEGER NOT NULL,
            column_name TEXT,
            stage TEXT NOT NULL,
            code TEXT NOT NULL,
            reason TEXT NOT NULL,
            part INTEGER NOT NULL DEFAULT 0,
            UNIQUE (source_id, row, part)
          ) STRICT;
          INSERT INTO reject_of_row SELECT *, 0 FROM reject;
          DROP TABLE reject;
          ALTER TABLE reject_of_row RENAME TO reject;
          """),
    ])

  /// `cache.sqlite`: encoded images and texts, found by content and encoder.
  static let cache = Schema(
    kind: "a cache of encodings", applicationID: 0x5350_4f65,  // "SPOe"
    migrations: [
      Migration(
        name: "first tables",
        sql: """
          CREATE TABLE encoder (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,            -- latent, text_embedding
            fingerprint TEXT NOT NULL,     -- of the weights and of the code that runs them
            geometry TEXT NOT NULL,        -- how the content was fitted: size, resize, crop
            shape TEXT NOT NULL,           -- of every value, such as "4,64,64"
            UNIQUE (kind, fingerprint, geometry)
          ) STRICT;

          CREATE TABLE entry (
            id INTEGER PRIMARY KEY,
            encoder_id INTEGER NOT NULL REFERENCES encoder (id) ON DELETE CASCADE,
            content TEXT NOT NULL,         -- SHA-256 of the image's bytes or of the text
            digest TEXT NOT NULL,          -- SHA-256 of value
            value BLOB NOT NULL            -- little-endian half-precision numbers, row-major
          ) STRICT;
          CREATE UNIQUE INDEX entry_by_content ON entry (encoder_id, content);
          """)
    ])
}
