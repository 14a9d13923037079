/// Walks down the rows of a column that holds a list of values a row, such as `images.list.element`.
///
/// One cursor serves one thread.
public final class ListCursor {
  public let column: LeafColumn
  /// The row that comes next, in the row group.
  public private(set) var nextRow = 0
  private let cursor: ColumnCursor
  private var isStarted = false
  /// Whether the cursor stands on the first value of the next row.
  private var hasEntry = false

  /// - Throws: `ParquetError.typeMismatch` for a column that holds no lists, or lists of lists
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

  /// Moves over the next row; false behind the last.
  ///
  /// - Parameter body: is given a cursor at each element in turn, nil for one that is null; it is valid
  ///   until `body` returns. A list that is null and one whose only element is have no elements.
  public func forEachInNextRow(_ body: (ColumnCursor?) throws -> Void) throws -> Bool {
    if !isStarted {
      isStarted = true
      hasEntry = try cursor.advance()
    }
    guard hasEntry else { return false }
    // An empty list is one absent value, too; what follows tells.
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
