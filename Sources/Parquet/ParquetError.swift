public import Files

/// An error in a parquet file, with its location.
///
/// Row groups, rows and pages are counted from 0. The dictionary page of a column chunk, if there
/// is one, is page 0.
public enum ParquetError: ClassifiedError, CustomStringConvertible {
  /// The bytes could not be read.
  case file(FileError)
  /// The footer, the schema or the list of row groups is damaged.
  case metadata(path: String, reason: String)
  /// A column chunk cannot be read as its metadata describes it.
  case chunk(path: String, rowGroup: Int, column: String, reason: String)
  /// A page is damaged; `offset` is the file offset of its header.
  case page(
    path: String, rowGroup: Int, column: String, page: Int, offset: Int, reason: String)
  /// The file is valid, but uses an unsupported codec, encoding or cipher.
  case unsupported(path: String, rowGroup: Int, column: String, reason: String)
  /// A value that does not match its column's type, such as text that is not UTF-8.
  case value(path: String, rowGroup: Int, column: String, row: Int, reason: String)
  /// A requested column that the file does not have.
  case missingColumn(path: String, name: String, available: [String])
  /// A column was requested as a type that it does not have.
  case typeMismatch(path: String, column: String, expected: String, found: String)

  public var kind: FailureKind {
    if case .file(let error) = self { error.kind } else { .input }
  }

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .metadata(let path, let reason): "\(path): \(reason)"
    case .chunk(let path, let rowGroup, let column, let reason),
      .unsupported(let path, let rowGroup, let column, let reason):
      "\(path): row group \(rowGroup), column \(column): \(reason)"
    case .page(let path, let rowGroup, let column, let page, let offset, let reason):
      "\(path): row group \(rowGroup), column \(column), page \(page) (byte \(offset)): \(reason)"
    case .value(let path, let rowGroup, let column, let row, let reason):
      "\(path): row group \(rowGroup), column \(column), row \(row): \(reason)"
    case .missingColumn(let path, let name, let available):
      "\(path): no column \(name); the file has \(available.joined(separator: ", "))"
    case .typeMismatch(let path, let column, let expected, let found):
      "\(path): column \(column) is \(found), which cannot be read as \(expected)"
    }
  }
}

/// A fault found below the level that knows the file, the column and the page.
enum Fault: Error {
  case malformed(String)
  case unsupported(String)
  case file(FileError)

  var reason: String {
    switch self {
    case .malformed(let reason), .unsupported(let reason): reason
    case .file(let error): error.description
    }
  }
}
