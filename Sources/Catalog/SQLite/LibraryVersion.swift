import CSQLite

/// The version of SQLite at run time, such as `3.45.1`.
public var sqliteVersion: String { String(cString: sqlite3_libversion()) }
