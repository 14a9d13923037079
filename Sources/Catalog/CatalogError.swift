public import Files

/// An error in a database file.
public enum CatalogError: ClassifiedError, Equatable, CustomStringConvertible {
  /// An SQLite error: its extended result code and text, and the statement that was running.
  case sqlite(path: String, code: Int, message: String, sql: String)
  /// A column has another type than the requested one.
  case wrongType(path: String, sql: String, column: Int, expected: String, found: String)
  /// The file has been changed by a newer version of the program.
  case newerSchema(path: String, migration: String)
  /// The file was opened for reading but lacks tables that only writing can add.
  case olderSchema(path: String, migration: String)
  /// A log exists next to a file that is to be read as immutable.
  case openLog(path: String)
  /// The file belongs to another program or is another kind of database.
  case wrongKind(path: String, expected: String)
  /// The process cannot open another file.
  case tooManyFiles(path: String)
  /// A cached value whose bytes differ from those stored.
  case damagedEntry(path: String, content: String, reason: String)
  /// A table whose rows differ from those recorded.
  case damagedTable(path: String, table: String, reason: String)
  /// A row with contradictory content, by its id.
  case damagedRow(path: String, table: String, row: Int, reason: String)

  public var kind: FailureKind {
    switch self {
    case .sqlite(_, let code, _, _):
      // The low byte is the code, the rest a detail of it; 3082: out of memory during I/O.
      switch (code & 0xff, code) {
      case (5, _), (6, _): .busy
      case (7, _), (13, _), (_, 3082): .space
      // A disk error, a damaged file, or one that cannot be opened or is not a database.
      case (10, _), (11, _), (14, _), (24, _), (26, _): .input
      default: .other
      }
    case .newerSchema, .olderSchema, .tooManyFiles: .other
    case .openLog: .busy
    case .wrongType, .wrongKind, .damagedEntry, .damagedTable, .damagedRow: .input
    }
  }

  public var description: String {
    switch self {
    case .sqlite(let path, let code, let message, let sql):
      "\(path): SQLite error \(code): \(message)\(Self.hint(code))"
        + (sql.isEmpty ? "" : ", while executing: \(Self.oneLine(sql))")
    case .wrongType(let path, let sql, let column, let expected, let found):
      "\(path): \(expected) expected in column \(column), found \(found), while executing: "
        + Self.oneLine(sql)
    case .newerSchema(let path, let migration):
      "\(path): written by a newer version of this program (it has the migration \"\(migration)\"); "
        + "update the program or choose another workspace"
    case .olderSchema(let path, let migration):
      "\(path): written by an older version of this program (it lacks the migration "
        + "\"\(migration)\"); `spo run` brings it up to date"
    case .tooManyFiles(let path):
      "\(path): cannot open it: too many open files; raise the limit (ulimit -n)"
    case .openLog(let path):
      "\(path): a run is writing to this database, or was killed while writing; wait until it ends, or let "
        + "`spo run` continue without --partition"
    case .wrongKind(let path, let expected):
      "\(path): a SQLite database, but not \(expected); move it away or choose another workspace"
    case .damagedEntry(let path, let content, let reason):
      "\(path): the cached value of \(content) is damaged: \(reason); run again with --force encode, "
        + "which rebuilds it"
    case .damagedTable(let path, let table, let reason):
      "\(path): table \(table) is damaged: it \(reason); \(Self.mend)"
    case .damagedRow(let path, let table, let row, let reason):
      "\(path): table \(table), row \(row) is damaged: \(reason); \(Self.mend)"
    }
  }

  private static let mend = "run again with --force ingest"

  private static func hint(_ code: Int) -> String {
    switch code & 0xff {
    case 5, 6: " (another program is using it)"
    case 11, 26: " (restore it, or delete it and run again)"
    case 13: " (the disk, a quota or a limit is full: free some space and run again)"
    default: ""
    }
  }

  private static func oneLine(_ sql: String) -> String {
    sql.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
