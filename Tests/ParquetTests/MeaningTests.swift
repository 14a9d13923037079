import Files
import Parquet
import TestSupport
import Testing

/// Values by their logical types, in files of pyarrow, DuckDB, polars and fastparquet;
/// `generate_meanings.py` in the fixtures' folder documents how they were written.
@Suite struct MeaningTests {
  static let files: [(name: String, columns: JSONReader)] = {
    let path = fixturePath("parquet/meanings.json")
    guard let members = try? JSONReader(contentsOf: path).members() else { return [] }
    return members.map { (name: $0.key, columns: $0.value) }
  }()

  @Test("there are files of all writers")
  func filesOfAllWriters() { #expect(Self.files.count > 12) }

  @Test("numbers and texts are what their writers meant", arguments: files.map(\.name))
  func meanings(name: String) throws {
    let expected = try #require(Self.files.first { $0.name == name }).columns
    let file = try ParquetFile(path: fixturePath("parquet/meanings-\(name).parquet"))
    for (columnName, meaning) in try expected.members() {
      let column = try file.requiredColumn(named: columnName)
      let numbers = try meaning.optional("numbers")?.elements().map(\.value)
      let texts = try meaning.optional("texts")?.elements().map(\.value)
      #expect(column.holdsNumbers == (numbers != nil), "\(columnName)")
      #expect(column.holdsTexts == (texts != nil), "\(columnName)")
      let cursor = try ColumnCursor(file, column: column)
      var row = 0
      while try cursor.advance() {
        if let numbers { #expect(try cursor.number() == numbers[row].double, "\(columnName)") }
        if let texts { #expect(try cursor.text() == texts[row].string, "\(columnName)") }
        row += 1
      }
      #expect(row == (numbers ?? texts ?? []).count || (numbers ?? texts) == nil)
      if let type = try meaning.optional("type") {
        let refusal = "column \(columnName) is \(try type.string()), which cannot be read as"
        #expect { try cursor.number() } throws: { "\($0)".contains(refusal) }
        #expect { try cursor.text() } throws: { "\($0)".contains(refusal) }
      }
    }
  }

  @Test("decimals of any length are read, without one they are an error of their row")
  func decimalsOfBytes() throws {
    let values: [[UInt8]] = [
      [10], [0], [0xf6], [0x00, 0x0a], [0xff, 0xff, 0xf6], [0x01, 0x00],
      [UInt8](repeating: 0, count: 20) + [5], [], [UInt8](repeating: 1, count: 65),
    ]
    let expected: [Double?] = [1, 0, -1, 1, -1, 25.6, 0.5, nil, nil]
    let body = values.flatMap { words(Int32($0.count)) + $0 }
    var file = HandMadeFile(.byteArray, [.init(body, values: values.count)])
    file.rowCount = Int64(values.count)
    file.columns[0].valueCount = Int64(values.count)
    file.columns[0].decimal = (precision: 40, scale: 1)
    try read(file) { cursor throws in
      for value in expected {
        #expect(try cursor.advance())
        if let value {
          #expect(try cursor.number() == value)
        } else {
          #expect {
            try cursor.number()
          } throws: { "\($0)".contains("row \(cursor.row): a decimal of") }
        }
      }
    }
  }

  @Test(
    "a scale that no decimal has is refused by name",
    arguments: [(2, -1), (2, 3), (0, 1), (.min, .max), (-5, -5)] as [(Int32, Int32)])
  func impossibleScales(precision: Int32, scale: Int32) throws {
    var file = HandMadeFile(.int32, [.init(words(10, 0, 5))])
    file.columns[0].decimal = (precision: precision, scale: scale)
    try read(file) { cursor throws in
      #expect(try cursor.advance())
      #expect { try cursor.number() } throws: {
        "\($0)".contains("DECIMAL(\(precision), \(scale))")
      }
      #expect(cursor.bytes.map(Array.init) == words(10))
    }
  }

  private func read(_ file: HandMadeFile, _ body: (ColumnCursor) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.parquet"
      try AtomicFile.replace(path, with: file.bytes)
      let parquet = try ParquetFile(path: path)
      try body(try ColumnCursor(parquet, column: parquet.columns[0]))
    }
  }
}
