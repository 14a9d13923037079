import CSQLite

/// The SQLite that the program runs on, such as `3.45.1`.
public var sqliteVersion: String { String(cString: sqlite3_libversion()) }
