import CSQLite
import Files

/// The SHA-256 of query results, in order.
///
/// Each value is hashed with its type and length, so that different lists of rows differ.
struct RowHash {
  private static let stagedByteCount = 1 << 16

  private var hash = SHA256()
  /// Short values are collected, to feed the hash in large chunks.
  private var staged: [UInt8] = []

  init() { staged.reserveCapacity(Self.stagedByteCount) }

  mutating func append(_ number: Int) { append(tag: 1, word: UInt64(bitPattern: Int64(number))) }

  mutating func append(_ bytes: UnsafeRawBufferPointer, tag: UInt8) {
    append(tag: tag, word: UInt64(bytes.count))
    if bytes.count >= Self.stagedByteCount / 2 {
      flush()
      hash.update(bytes)
    } else {
      staged.append(contentsOf: bytes)
    }
  }

  mutating func append(tag: UInt8, word: UInt64) {
    if staged.count >= Self.stagedByteCount / 2 { flush() }
    staged.append(tag)
    withUnsafeBytes(of: word.littleEndian) { staged.append(contentsOf: $0) }
  }

  /// 64 hexadecimal digits.
  mutating func finalize() -> String {
    flush()
    return hash.finalize().hexadecimal
  }

  private mutating func flush() {
    hash.update(staged)
    staged.removeAll(keepingCapacity: true)
  }
}

extension Database {
  /// Appends every value of every row of the result; returns the number of rows.
  @discardableResult
  func append(
    rowsOf sql: String, _ values: any SQLConvertible..., to hash: inout RowHash
  ) throws -> Int {
    var count = 0
    let statement = try begin(sql, values)
    defer { end(statement) }
    while try statement.step() {
      statement.appendRow(to: &hash)
      count += 1
    }
    return count
  }
}

extension Statement {
  /// Appends the values of the row without copying them.
  fileprivate func appendRow(to hash: inout RowHash) {
    for index in 0..<sqlite3_column_count(handle) {
      let type = sqlite3_column_type(handle, index)
      switch type {
      case SQLITE_INTEGER:
        hash.append(tag: 1, word: UInt64(bitPattern: sqlite3_column_int64(handle, index)))
      case SQLITE_FLOAT:
        hash.append(tag: 2, word: sqlite3_column_double(handle, index).bitPattern)
      case SQLITE_TEXT, SQLITE_BLOB:
        let start = sqlite3_column_blob(handle, index)
        let count = Int(sqlite3_column_bytes(handle, index))
        hash.append(UnsafeRawBufferPointer(start: start, count: count), tag: UInt8(type))
      default: hash.append(tag: UInt8(SQLITE_NULL), word: 0)
      }
    }
  }
}
