import Files
import Parquet
import TestSupport
import Testing

@Suite struct RowCursorTests {
  private func open(_ name: String) throws -> ParquetFile {
    try ParquetFile(path: fixturePath("parquet/\(name).parquet"))
  }

  @Test("the rows of Pick-a-Pic are read column by column in step")
  func pickAPicRows() throws {
    let file = try open("pick-a-pic")
    let names = [
      "caption", "jpg_0", "jpg_1", "label_0", "has_label", "num_example_per_prompt",
      "created_at", "image_1_uid",
    ]
    let rows = try RowCursor(file, columns: names.map { try file.requiredColumn(named: $0) })
    var row = 0
    for group in file.rowGroups.indices {
      try rows.open(rowGroup: group)
      while try rows.advance() {
        #expect(try rows[0].text() == "a picture of \(row / 4) foxes")
        #expect(rows[1].bytes?.prefix(2).elementsEqual([0xff, 0xd8]) == true)
        #expect(rows[2].isNull == (row == 39))
        #expect(try rows[3].number() == [1, 0, 0.5][row % 3])
        #expect(try rows[4].truth() == (row % 9 != 0))
        #expect(try rows[5].integer() == 4)
        #expect(try rows[6].integer() == 1_680_307_200_000_000_000 + Int64(row) * 60_000_000_000)
        #expect(try rows[7].text() == "uid-\(row + 1)")
        row += 1
      }
    }
    #expect(row == 40)
    #expect(file.metadata(for: "huggingface")?.contains("\"caption\"") == true)
    #expect(file.createdBy.contains("parquet-cpp-arrow"))
    #expect(file.columns[3].logicalType == .timestamp(.nanoseconds, isUTC: false))
    #expect(file.columns[2].logicalType == .string)
  }

  @Test(
    "images in structs are reached by their dotted path",
    arguments: ["image-structs", "image-structs-snappy", "image-structs-v2"])
  func imageStructs(name: String) throws {
    let file = try open(name)
    #expect(file.column(named: "jpg_0") == nil)
    let columns = try ["jpg_0.bytes", "jpg_0.path", "jpg_1.bytes"].map {
      try file.requiredColumn(named: $0)
    }
    #expect(columns[0].maximumDefinitionLevel == 2)
    let rows = try RowCursor(file, columns: columns)
    var row = 0
    for group in file.rowGroups.indices {
      try rows.open(rowGroup: group)
      while try rows.advance() {
        #expect(rows[0].isNull == (row == 3 || row == 5))
        #expect(try rows[1].text() == (row == 3 ? "3.jpg" : nil))
        #expect(rows[2].isNull == (row == 36 || row == 34))
        row += 1
      }
    }
    #expect(row == 40)
  }

  @Test(
    "any row is reached in any order",
    arguments: [
      "pages-none-v1", "pages-none-v2", "pages-snappy-v1", "pages-snappy-v2", "fallback",
      "encodings-none-v1", "encodings-snappy-v2", "row-groups-7", "image-structs-v2", "zeros",
      "mixed-gzip-v1-dictionary", "mixed-none-v2-plain", "nulls", "required",
    ])
  func randomAccess(name: String) throws {
    let file = try open(name)
    for column in file.columns where !column.isRepeated {
      let cursor = try ColumnCursor(file, column: column)
      var values: [[[UInt8]?]] = []
      for group in file.rowGroups.indices {
        try cursor.open(rowGroup: group)
        var inGroup: [[UInt8]?] = []
        while try cursor.advance() { inGroup.append(cursor.bytes.map(Array.init)) }
        #expect(inGroup.count == file.rowGroups[group].rowCount)
        values.append(inGroup)
      }
      // A fixed sequence of jumps, forwards and backwards, near and far.
      var state: UInt64 = 1
      for _ in 0..<60 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let group = Int(state >> 33) % values.count
        let jump = Int(state >> 40) % 3 == 0 ? Int(state >> 45) % 20 : Int(state >> 45)
        let row = jump % values[group].count
        try cursor.move(toRowGroup: group, row: row)
        #expect(cursor.row == row && cursor.rowGroup == group)
        #expect(cursor.bytes.map(Array.init) == values[group][row], "\(column.name), row \(row)")
        if row + 1 < values[group].count {
          #expect(try cursor.advance())
          #expect(cursor.bytes.map(Array.init) == values[group][row + 1])
        }
      }
    }
  }

  @Test("a missing column is an error that lists what is there")
  func missingColumn() throws {
    let file = try open("row-groups-1")
    #expect {
      try file.requiredColumn(named: "jpg_0")
    } throws: { "\($0)".hasSuffix("no column jpg_0; the file has flag, small, f64, text, nothing") }
  }

  @Test("a value is not read as another type")
  func typeMismatch() throws {
    let file = try open("row-groups-1")
    let cursor = try ColumnCursor(file, column: file.requiredColumn(named: "flag"))
    _ = try cursor.advance()
    #expect(throws: ParquetError.self) { try cursor.text() }
    let texts = try ColumnCursor(file, column: file.requiredColumn(named: "text"))
    _ = try texts.advance()
    #expect(throws: ParquetError.self) { try texts.number() }
    #expect(throws: ParquetError.self) { try texts.truth() }
    let lists = try open("nested")
    #expect(throws: ParquetError.self) {
      try ColumnCursor(lists, column: lists.requiredColumn(named: "numbers.list.element"))
    }
  }

  @Test("text that is not UTF-8 is an error of its row")
  func invalidText() throws {
    let file = try open("mixed-none-v1-plain")
    let cursor = try ColumnCursor(file, column: file.requiredColumn(named: "blob"))
    var faults: [String] = []
    while try cursor.advance() {
      do throws(ParquetError) { _ = try cursor.text() } catch { faults.append("\(error)") }
    }
    #expect(faults.count > 100)
    #expect(faults.first?.contains("row group 0, column blob, row ") == true)
  }

  @Test("a file without rows has no rows")
  func emptyFile() throws {
    let file = try open("empty")
    let rows = try RowCursor(file, columns: file.columns)
    #expect(try !rows.advance())
  }
}
