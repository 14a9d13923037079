import CSQLite
import Files
import Foundation

/// One compiled statement, run many times with different values.
final class Statement {
  let sql: String
  let path: String
  private let connection: OpaquePointer
  let handle: OpaquePointer

  init(_ sql: String, connection: OpaquePointer, path: String) throws(CatalogError) {
    var handle: OpaquePointer?
    guard sqlite3_prepare_v3(connection, sql, -1, 0, &handle, nil) == SQLITE_OK, let handle else {
      throw .lastFailure(of: connection, path: path, sql: sql)
    }
    self.sql = sql
    self.path = path
    self.connection = connection
    self.handle = handle
  }

  deinit { sqlite3_finalize(handle) }

  func bind(_ values: [any SQLConvertible]) throws(CatalogError) {
    let wanted = Int(sqlite3_bind_parameter_count(handle))
    precondition(values.count == wanted, "\(values.count) values for the \(wanted) of \(sql)")
    for (offset, value) in values.enumerated() {
      guard bind(value.sqlValue, at: Int32(offset + 1)) == SQLITE_OK else { throw failure }
    }
  }

  private func bind(_ value: SQLValue, at index: Int32) -> Int32 {
    switch value {
    case .null: sqlite3_bind_null(handle, index)
    case .integer(let number): sqlite3_bind_int64(handle, index, number)
    case .real(let number): sqlite3_bind_double(handle, index, number)
    case .text(let text):
      sqlite3_bind_text64(
        handle, index, text, UInt64(text.utf8.count), Self.copied, UInt8(SQLITE_UTF8))
    case .blob(let bytes):
      bytes.isEmpty
        ? sqlite3_bind_zeroblob(handle, index, 0)
        : sqlite3_bind_blob64(handle, index, bytes, UInt64(bytes.count), Self.copied)
    }
  }

  /// Advances to the next row; false at the end.
  func step() throws(CatalogError) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default: throw failure
    }
  }

  /// Clears values and rows.
  ///
  /// Its result code repeats the last step's and is ignored.
  func reset() {
    sqlite3_reset(handle)
    sqlite3_clear_bindings(handle)
  }

  func value(at column: Int) -> SQLValue {
    precondition(column < Int(sqlite3_column_count(handle)), "no column \(column) in \(sql)")
    let index = Int32(column)
    switch sqlite3_column_type(handle, index) {
    case SQLITE_INTEGER: return .integer(sqlite3_column_int64(handle, index))
    case SQLITE_FLOAT: return .real(sqlite3_column_double(handle, index))
    case SQLITE_TEXT:
      let start = sqlite3_column_text(handle, index)
      let bytes = UnsafeBufferPointer(start: start, count: byteCount(at: index))
      return .text(String(decoding: bytes, as: UTF8.self))
    case SQLITE_BLOB:
      let start = sqlite3_column_blob(handle, index)
      return .blob([UInt8](UnsafeRawBufferPointer(start: start, count: byteCount(at: index))))
    default: return .null
    }
  }

  private func byteCount(at index: Int32) -> Int { Int(sqlite3_column_bytes(handle, index)) }

  private var failure: CatalogError { .lastFailure(of: connection, path: path, sql: sql) }

  /// Tells SQLite to copy the bytes before the call returns (`SQLITE_TRANSIENT`, a cast macro).
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}

extension CatalogError {
  static func lastFailure(
    of connection: OpaquePointer?, path: String, sql: String
  ) -> CatalogError {
    var code = Int(sqlite3_extended_errcode(connection))
    if code & 0xff == Int(SQLITE_CANTOPEN), let connection,
      [EMFILE, ENFILE].contains(sqlite3_system_errno(connection))
    {
      return .tooManyFiles(path: path)
    }
    // A full disk appears as SQLITE_FULL if a write hits it, but as an I/O error if syncing,
    // truncating or creating a file does, or if a quota or a limit is reached.
    if [SQLITE_IOERR, SQLITE_CANTOPEN].contains(Int32(code & 0xff)),
      systemErrors(of: connection).contains(where: { FailureKind(systemError: $0) == .space })
    {
      code = Int(SQLITE_FULL)
    }
    var message = String(cString: sqlite3_errmsg(connection))
    // SQLite's message stands if the file cannot be inspected.
    if code == SQLITE_NOTADB, let file = try? RegularFile(path: path) {
      do throws(FileError) { try file.requireNoMistake(expected: "a SQLite database") } catch {
        message = "\(error)"
      }
    }
    return .sqlite(path: path, code: code, message: message, sql: sql)
  }

  /// Returns the most recent system errors of the connection, its file and its log.
  ///
  /// The connection's comes from the last call that failed, which may belong to the rollback.
  private static func systemErrors(of connection: OpaquePointer?) -> [Int32] {
    guard let connection else { return [] }
    let files = [SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER].compactMap { kind in
      var file: UnsafeMutablePointer<sqlite3_file>?
      sqlite3_file_control(connection, "main", kind, &file)
      return file
    }
    let errors = files.compactMap { file -> Int32? in
      var error: Int32 = 0
      // A file that is not open has no methods.
      let code = file.pointee.pMethods?.pointee.xFileControl?(
        file, SQLITE_FCNTL_LAST_ERRNO, &error)
      return code == SQLITE_OK ? error : nil
    }
    return [sqlite3_system_errno(connection)] + errors
  }
}

/// The current row of a statement.
///
/// Valid only inside the closure that receives it.
public struct Row {
  let statement: Statement

  /// The value in a column, counted from 0, as the type that the context requires.
  public subscript<Value: SQLConvertible>(column: Int) -> Value {
    get throws(CatalogError) {
      let found = statement.value(at: column)
      guard let value = Value(found) else {
        throw .wrongType(
          path: statement.path, sql: statement.sql, column: column,
          expected: Value.expectedTypeName, found: found.typeName)
      }
      return value
    }
  }
}
