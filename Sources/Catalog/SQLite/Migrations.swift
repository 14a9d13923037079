/// One change to a database's tables, applied once and recorded in the file by its name.
///
/// Published migrations never change; further changes are new migrations at the end of the list.
struct Migration {
  let name: String
  let sql: String
}

/// A kind of database file: its identification and its migrations.
struct Schema {
  /// The kind in words, with an article, for messages.
  let kind: String
  /// Stored in the file's header (`PRAGMA application_id`), where `file` and `spo inspect` see it.
  let applicationID: Int
  let migrations: [Migration]
}

extension Database {
  /// Brings the file's tables up to date.
  ///
  /// - Throws: `CatalogError.wrongKind` if the file is another database, `.newerSchema` if it has
  ///   changes unknown to `schema`, `.olderSchema` if it is read-only and lacks some.
  func migrate(to schema: Schema) throws {
    let isNew = try integer("SELECT count(*) FROM sqlite_schema") == 0
    guard try isNew || integer("PRAGMA application_id") == schema.applicationID else {
      throw CatalogError.wrongKind(path: path, expected: schema.kind)
    }
    let applied =
      isNew ? [] : try rows("SELECT name FROM migration ORDER BY ordinal") { try $0[0] as String }
    let known = schema.migrations.map(\.name)
    if let unknown = applied.first(where: { !known.contains($0) }) {
      throw CatalogError.newerSchema(path: path, migration: unknown)
    }
    let missing = schema.migrations.enumerated().filter { !applied.contains($0.element.name) }
    guard let first = missing.first else { return }
    guard access == .readWrite else {
      throw CatalogError.olderSchema(path: path, migration: first.element.name)
    }
    try transaction {
      if isNew {
        try execute(
          """
          PRAGMA application_id = \(schema.applicationID);
          CREATE TABLE migration (ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
          """)
      }
      for (ordinal, migration) in missing {
        try execute(migration.sql)
        try run("INSERT INTO migration (ordinal, name) VALUES (?, ?)", ordinal, migration.name)
      }
    }
  }
}
