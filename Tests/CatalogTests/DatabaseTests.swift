import Catalog
import Files
import TestSupport
import Testing

struct DatabaseTests {
  @Test("every kind of value comes back as it went in")
  func roundTrip() throws {
    try withDatabase { database throws in
      try database.execute("CREATE TABLE t (a ANY, b ANY, c ANY, d ANY, e ANY, f ANY) STRICT")
      try database.run(
        "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", Int.max, 0.1, "", "nul \0 naïve 🦊",
        [] as [UInt8], nil as Int?)
      try database.forEachRow("SELECT a, b, c, d, e, f FROM t") { row throws in
        #expect(try row[0] == Int.max)
        #expect(try row[1] == 0.1)
        #expect(try row[2] == "")
        #expect(try row[3] == "nul \0 naïve 🦊")
        #expect(try row[4] == [] as [UInt8])
        #expect(try row[5] == nil as Int?)
      }
    }
  }

  @Test("an error names the file, SQLite's code and text, and the statement")
  func errorText() throws {
    try withDatabase { database throws in
      try database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT")
      try database.run("INSERT INTO t VALUES (?)", 1)
      let expected = CatalogError.sqlite(
        path: database.path, code: 1555, message: "UNIQUE constraint failed: t.a",
        sql: "INSERT INTO t VALUES (?)")
      #expect(throws: expected) { try database.run("INSERT INTO t VALUES (?)", 1) }
      #expect(
        expected.description
          == "\(database.path): SQLite error 1555: UNIQUE constraint failed: t.a, "
          + "while executing: INSERT INTO t VALUES (?)")
      // The statement can be used again after its failure.
      try database.run("INSERT INTO t VALUES (?)", 2)
    }
  }

  @Test("a column of another type is an error, not a conversion")
  func wrongType() throws {
    try withDatabase { database throws in
      #expect(
        throws: CatalogError.wrongType(
          path: database.path, sql: "SELECT 'x'", column: 0, expected: "an integer",
          found: "a text")
      ) { try database.rows("SELECT 'x'") { try $0[0] as Int } }
    }
  }

  @Test("a transaction that throws leaves nothing behind")
  func rollback() throws {
    struct Stop: Error {}
    func insert(into database: Database, thenStop: Bool) throws {
      try database.transaction {
        try database.run("INSERT INTO t VALUES (1)")
        if thenStop { throw Stop() }
      }
    }
    try withDatabase { database throws in
      try database.execute("CREATE TABLE t (a INTEGER) STRICT")
      #expect(throws: Stop.self) { try insert(into: database, thenStop: true) }
      #expect(try database.integer("SELECT count(*) FROM t") == 0)
      try insert(into: database, thenStop: false)
      #expect(try database.integer("SELECT count(*) FROM t") == 1)
    }
  }

  @Test("the same statement can run inside its own loop")
  func reentrance() throws {
    try withDatabase { database throws in
      let sql = "SELECT value FROM json_each('[1,2,3]') WHERE value > ?"
      var sum = 0
      try database.forEachRow(sql, 0) { outer in
        try database.forEachRow(sql, try outer[0] as Int) { sum += try $0[0] }
      }
      #expect(sum == 2 + 3 + 3)
    }
  }

  @Test("a file that is not a database is refused by name")
  func notADatabase() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/x.sqlite"
      let other = try Database(path: folder + "/other.sqlite")
      try other.execute("CREATE TABLE t (a)")
      #expect(throws: CatalogError.wrongKind(path: other.path, expected: "a catalog")) {
        try CatalogDatabase(path: other.path)
      }
      try AtomicFile.replace(path, with: Array(repeating: 65, count: 4_096))
      #expect {
        try Database(path: path)
      } throws: { error in
        guard case CatalogError.sqlite(path, 26, _, _) = error else { return false }
        return true
      }
    }
  }

  @Test("a catalog that knows a newer change is refused")
  func newerSchema() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/catalog.sqlite"
      let catalog = try CatalogDatabase(path: path)
      try catalog.database.run("INSERT INTO migration VALUES (99, 'colours')")
      #expect(throws: CatalogError.newerSchema(path: path, migration: "colours")) {
        try CatalogDatabase(path: path)
      }
    }
  }

  @Test("an open catalog can be read beside its writer")
  func readBesideWriter() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/catalog.sqlite"
      let writer = try CatalogDatabase(path: path)
      _ = try writer.addSource(
        path: "a.parquet", identity: "1", rowCount: 1, rowGroupCount: 1, image0Column: nil,
        image1Column: nil)
      let reader = try CatalogDatabase(path: path, access: .readOnly)
      #expect(try reader.sources() == writer.sources())
      #expect(throws: CatalogError.self) { try reader.removeAll() }
    }
  }

  private func withDatabase(_ body: (Database) throws -> Void) throws {
    try withTemporaryFolder { try body(try Database(path: $0 + "/test.sqlite")) }
  }
}
