import Catalog
import Files
import Foundation
import TestSupport
import Testing

/// Databases on file systems that other machines see, and for readers that change nothing.
struct SharedFileSystemTests {
  @Test("without shared memory there is no log, also of a database that had one")
  func rollbackJournal() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/x.sqlite"
      for kind in [FileSystemKind.local, .nfs, .lustre, .local, .gpfs, .fuse] {
        let database = try Database(path: path, fileSystem: kind)
        try database.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER); INSERT INTO t VALUES (1)")
        let hasLog = FileManager.default.fileExists(atPath: path + "-wal")
        #expect(hasLog == !kind.isShared, "\(kind)")
        if kind.isShared {
          // Others may read between two writes.
          let other = try Database(path: path, access: .readOnly)
          #expect(try other.integer("SELECT count(*) FROM t") >= 1)
        }
      }
      #expect(try Database(path: path, access: .immutable).integer("SELECT count(*) FROM t") == 6)
    }
  }

  @Test("a reader that changes nothing makes no file, whatever the path is called")
  func immutable() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/100% of #1? x.sqlite"
      do {
        let database = try Database(path: path)
        try database.execute("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (7)")
      }
      let database = try Database(path: path, access: .immutable)
      #expect(try database.integer("SELECT a FROM t") == 7)
      #expect(throws: CatalogError.self) { try database.run("INSERT INTO t VALUES (8)") }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder) == ["100% of #1? x.sqlite"])
      try AtomicFile.replace(path + "-wal", with: [1])
      #expect(throws: CatalogError.openLog(path: path + "-wal")) {
        try Database(path: path, access: .immutable)
      }
    }
  }

  @Test("a transaction in another is undone alone, and committed with it")
  func nested() throws {
    try withTemporaryFolder { folder throws in
      struct Failure: Error {}
      let database = try Database(path: folder + "/x.sqlite")
      try database.execute("CREATE TABLE t (a INTEGER)")
      func insert(_ number: Int, fails: Bool = false) throws {
        try database.transaction {
          try database.run("INSERT INTO t VALUES (?)", number)
          if fails { throw Failure() }
        }
      }
      try database.transaction {
        try insert(1)
        #expect(throws: Failure.self) { try insert(2, fails: true) }
        try insert(3)
      }
      #expect(throws: Failure.self) {
        try database.transaction {
          try insert(4)
          throw Failure()
        }
      }
      #expect(try database.rows("SELECT a FROM t ORDER BY a") { try $0[0] as Int } == [1, 3])
    }
  }
}
