/// Iterates over the rows of a column with a list of values per row, such as `images.list.element`.
///
/// One cursor serves one thread.
public final class ListCursor {
  public let column: LeafColumn
  /// The index of the next row in the row group.
  public private(set) var nextRow = 0
  private let cursor: ColumnCursor
  private var isStarted = false
  /// Whether the cursor is at the first value of the next row.
  private var hasEntry = false

  /// - Throws: `ParquetError.typeMismatch` for a column without lists, or with lists of lists
  public init(
    _ file: ParquetFile, column: LeafColumn, rowGroup: Int
  ) throws(ParquetError) {
    guard column.maximumRepetitionLevel == 1 else {
      throw .typeMismatch(
        path: file.path, column: column.name, expected: "a list",
        found: column.isRepeated ? "lists of lists" : "one value per row")
    }
    self.column = column
    cursor = try ColumnCursor(file, entriesOf: column, rowGroup: rowGroup)
  }

  /// Advances over the next row; false after the last.
  ///
  /// - Parameter body: called with a cursor at each element, nil for a null one; it is valid until
  ///   `body` returns. A null list, and one whose only element is null, have no elements.
  public func forEachInNextRow(_ body: (ColumnCursor?) throws -> Void) throws -> Bool {
    if !isStarted {
      isStarted = true
      hasEntry = try cursor.advance()
    }
    guard hasEntry else { return false }
    // An empty list is also one absent value; what follows distinguishes them.
    var hasLeadingNull = cursor.isNull
    if !hasLeadingNull { try body(cursor) }
    hasEntry = try cursor.advance()
    while hasEntry, cursor.continuesRow {
      if hasLeadingNull { try body(nil) }
      hasLeadingNull = false
      try body(cursor.isNull ? nil : cursor)
      hasEntry = try cursor.advance()
    }
    nextRow += 1
    return true
  }
}
