import Parquet
import TestSupport
import Testing

struct ListCursorTests {
  /// All rows of a column as their elements' texts, `null` for one that is absent.
  private func rows(_ path: String, _ column: String) throws -> [[String]] {
    let file = try ParquetFile(path: path)
    let leaf = try file.requiredColumn(named: column)
    var rows: [[String]] = []
    for group in file.rowGroups.indices {
      let cursor = try ListCursor(file, column: leaf, rowGroup: group)
      var row: [String] = []
      while try cursor.forEachInNextRow({ element in
        row.append(try element.map { cursor in try "\(cursor.number() ?? .nan)" } ?? "null")
      }) {
        rows.append(row)
        row.removeAll()
      }
    }
    return rows
  }

  @Test("lists are read row by row: empty ones, absent ones, absent elements, long ones")
  func lists() throws {
    let expected: [[String]] =
      [["1.0", "2.0"], [], [], ["null", "3.0"], ["4.0", "null"]]
      + [(0..<3_000).map { "\(Double($0))" }, ["5.0"]]
    for name in ["lists-pyarrow", "lists-polars"] {
      let column = try ParquetFile(path: fixturePath("parquet/\(name).parquet")).columns[0].name
      #expect(try rows(fixturePath("parquet/\(name).parquet"), column) == expected, "\(name)")
    }
  }

  @Test("a column without lists is refused")
  func noList() throws {
    let file = try ParquetFile(path: fixturePath("parquet/row-groups-7.parquet"))
    let column = try #require(file.columns.first { !$0.isRepeated })
    #expect(throws: ParquetError.self) { try ListCursor(file, column: column, rowGroup: 0) }
  }
}
