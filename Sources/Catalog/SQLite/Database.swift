import CSQLite
public import Files

/// A connection to one SQLite file.
///
/// Committed transactions survive a crash and a power loss (`journal_mode=WAL`, `synchronous=FULL`;
/// if other machines see the file, which WAL does not support, a rollback journal). There must be
/// only one writing connection to a file, under the workspace's lock: SQLite 3.7.0 to 3.51.2 can
/// damage a file if two connections reset its log simultaneously. Reading connections may come and
/// go; they never write the log back.
///
/// Not `Sendable`: a connection and its statements belong to one thread.
public final class Database {
  public enum Access: Sendable {
    case readOnly
    case readWrite
    /// For a file without writers: takes no locks and creates no other files.
    case immutable
  }

  public let path: String
  public let access: Access
  private let handle: OpaquePointer
  /// Idle compiled statements, the most recently used last: few are in use, and comparing a text
  /// with itself is faster than hashing it.
  private var idleStatements: [Statement] = []

  /// Opens the file; with write access creates it if it is missing.
  ///
  /// - Parameter fileSystem: the file system's kind; nil: the system's answer
  public init(
    path: String, access: Access = .readWrite, fileSystem: FileSystemKind? = nil
  ) throws(CatalogError) {
    if access == .immutable { try Self.requireNoLog(path) }
    let flags =
      switch access {
      case .immutable: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX
      case .readOnly: SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX
      case .readWrite: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
      }
    var opened: OpaquePointer?
    let name = access == .immutable ? Self.immutableName(path) : path
    let code = sqlite3_open_v2(name, &opened, flags, nil)
    guard code == SQLITE_OK, let opened else {
      let failure = CatalogError.lastFailure(of: opened, path: path, sql: "")
      sqlite3_close_v2(opened)
      throw failure
    }
    self.path = path
    self.access = access
    handle = opened
    // From here on deinit closes the connection.
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, 5_000)
    if access == .immutable { try execute("PRAGMA temp_store = MEMORY") }
    if access == .readWrite, (fileSystem ?? FileSystemKind(at: path)).isShared {
      // Exclusively, so that an old log is written back without shared memory.
      try execute(
        """
        PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE;
        PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL
        """)
    } else if access == .readWrite {
      // Keys in random order change a page for every row: the longer the log (here 80 MB), the more
      // changes of one page reach the file as one write.
      try execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20000")
    }
    try execute("PRAGMA foreign_keys = ON; PRAGMA cache_size = -\(Self.cacheByteLimit >> 10)")
  }

  /// The most memory that cached pages of the file take: enough for the indices of a million rows, whose
  /// keys arrive in random order.
  package static let cacheByteLimit = 128 << 20

  /// Requires that there is no log, which is part of the file: without it, a reader sees old data.
  private static func requireNoLog(_ path: String) throws(CatalogError) {
    let log = path + "-wal"
    guard (try? RegularFile(path: log).size) ?? 0 > 0 else { return }
    throw .openLog(path: log)
  }

  private static func immutableName(_ path: String) -> String {
    let escaped = path.map { character in
      switch character {
      case "%": "%25"
      case "?": "%3f"
      case "#": "%23"
      default: String(character)
      }
    }
    // A path that begins with two slashes would name a host.
    return "file:\(path.hasPrefix("//") ? "//" : "")\(escaped.joined())?immutable=1"
  }

  deinit {
    idleStatements.removeAll()
    sqlite3_close_v2(handle)
  }

  /// Runs statements without parameters, separated by semicolons.
  public func execute(_ script: String) throws(CatalogError) {
    guard sqlite3_exec(handle, script, nil, nil, nil) == SQLITE_OK else {
      throw .lastFailure(of: handle, path: path, sql: script)
    }
  }

  /// Runs one statement and ignores any rows; each `?` takes the next value.
  public func run(_ sql: String, _ values: any SQLConvertible...) throws(CatalogError) {
    let statement = try begin(sql, values)
    defer { end(statement) }
    while try statement.step() {}
  }

  /// Calls `body` with each row of the result.
  public func forEachRow(
    _ sql: String, _ values: any SQLConvertible..., body: (Row) throws -> Void
  ) throws {
    let statement = try begin(sql, values)
    defer { end(statement) }
    while try statement.step() { try body(Row(statement: statement)) }
  }

  /// Returns the rows of the result, each converted to a value.
  public func rows<Result>(
    _ sql: String, _ values: any SQLConvertible..., read: (Row) throws -> Result
  ) throws -> [Result] {
    let statement = try begin(sql, values)
    defer { end(statement) }
    var results: [Result] = []
    while try statement.step() { results.append(try read(Row(statement: statement))) }
    return results
  }

  /// Returns the first row of the result, or nil if there is none.
  public func firstRow<Result>(
    _ sql: String, _ values: any SQLConvertible..., read: (Row) throws -> Result
  ) throws -> Result? {
    let statement = try begin(sql, values)
    defer { end(statement) }
    return try statement.step() ? read(Row(statement: statement)) : nil
  }

  /// Returns the integer of a one-row, one-column result, such as a count.
  public func integer(_ sql: String, _ values: any SQLConvertible...) throws -> Int {
    let statement = try begin(sql, values)
    defer { end(statement) }
    return try statement.step() ? Row(statement: statement)[0] : 0
  }

  /// Reads the whole file and throws the first error that SQLite finds.
  ///
  /// - Parameter withIndices: also compares the indices with their tables, which takes longer
  public func checkIntegrity(withIndices: Bool = false) throws {
    let sql = withIndices ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)"
    let finding = try firstRow(sql) { try $0[0] as String } ?? "no answer"
    guard finding == "ok" else {
      // SQLITE_CORRUPT, as for a read that hits the error.
      throw CatalogError.sqlite(path: path, code: 11, message: finding, sql: sql)
    }
  }

  /// The row id of the last row inserted on this connection.
  public var lastInsertedID: Int { Int(sqlite3_last_insert_rowid(handle)) }

  /// The number of rows that the last statement inserted, changed or deleted.
  public var changedRowCount: Int { Int(sqlite3_changes64(handle)) }

  /// Writes the log back, so that the file alone is complete once the connection is closed.
  ///
  /// If another connection is reading, as far as that allows.
  public func writeLogBack() throws { try run("PRAGMA wal_checkpoint(TRUNCATE)") }

  /// Releases the memory of cached pages, after a scan that will not be repeated.
  public func releaseMemory() throws { try run("PRAGMA shrink_memory") }

  /// Makes the file self-contained before it is moved: without a log, and not marked as having one.
  public func leaveLog() throws {
    try writeLogBack()
    try run("PRAGMA journal_mode = DELETE")
  }

  /// Runs `body` in a transaction: all its changes are committed together, or, if it throws, none.
  ///
  /// Within another transaction they are committed with that one.
  public func transaction<Result>(_ body: () throws -> Result) throws -> Result {
    guard sqlite3_get_autocommit(handle) != 0 else { return try savepoint(body) }
    try run("BEGIN IMMEDIATE")
    do {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      // Some failures, such as a full disk, have already rolled back.
      if sqlite3_get_autocommit(handle) == 0 { try run("ROLLBACK") }
      throw error
    }
  }

  private func savepoint<Result>(_ body: () throws -> Result) throws -> Result {
    try run("SAVEPOINT inner")
    do {
      let result = try body()
      try run("RELEASE inner")
      return result
    } catch {
      if sqlite3_get_autocommit(handle) == 0 {
        try run("ROLLBACK TO inner")
        try run("RELEASE inner")
      }
      throw error
    }
  }

  func begin(
    _ sql: String, _ values: [any SQLConvertible]
  ) throws(CatalogError) -> Statement {
    // A statement is taken out while it runs, so that the same SQL can run inside its own loop.
    let place = idleStatements.lastIndex { $0.sql == sql }
    let statement =
      if let place {
        idleStatements.remove(at: place)
      } else {
        try Statement(sql, connection: handle, path: path)
      }
    do throws(CatalogError) {
      try statement.bind(values)
    } catch {
      end(statement)
      throw error
    }
    return statement
  }

  func end(_ statement: Statement) {
    statement.reset()
    idleStatements.append(statement)
  }
}
