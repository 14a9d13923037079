import Parquet
import TestSupport
import Testing

@Suite struct ParquetWriterTests {
  private let fields: [ParquetWriter.Field] = [
    .init("flag", .boolean),
    .init("count", .int32, isOptional: false),
    .init("id", .int64),
    .init("score", .double),
    .init("caption", .string),
    .init("jpg_0", .bytes),
    .init("created_at", .timestamp(.microseconds)),
  ]

  private func columns(_ rows: Range<Int>) -> [ParquetWriter.Column] {
    [
      .booleans(rows.map { $0 % 5 == 0 ? nil : $0 % 3 == 0 }),
      .int32s(rows.map { Int32($0) - 7 }),
      .int64s(rows.map { $0 % 4 == 1 ? nil : Int64($0) << 33 }),
      .doubles(rows.map { $0 > 100 ? Double($0) / 3 : nil }),
      .strings(rows.map { $0 % 7 == 6 ? nil : "四季 \($0 / 10)" }),
      .bytes(
        rows.map { row in row % 11 == 3 ? nil : (0..<row).map { UInt8(truncatingIfNeeded: $0) } }),
      .int64s(rows.map { 1_680_307_200_000_000 + Int64($0) }),
    ]
  }

  @Test("what is written is read again", arguments: [ParquetWriter.Compression.none, .snappy])
  func roundTrip(compression: ParquetWriter.Compression) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/out.parquet"
      let metadata = [KeyValue(key: "huggingface", value: "{\"info\": {}}")]
      let writer = try ParquetWriter(
        path: path, fields: fields, compression: compression, metadata: metadata)
      try writer.append(columns(0..<1))
      try writer.append(columns(1..<3000))
      try writer.append(columns(3000..<3010))
      try writer.commit()

      let file = try ParquetFile(path: path)
      #expect(file.rowCount == 3010)
      #expect(file.rowGroups.map(\.rowCount) == [1, 2999, 10])
      #expect(file.keyValues == metadata)
      #expect(file.columns.map(\.isOptional) == [true, false, true, true, true, true, true])
      #expect(file.columns[4].logicalType == .string)
      #expect(file.columns[6].logicalType == .timestamp(.microseconds, isUTC: true))
      try expectRows(of: file)
    }
  }

  private func expectRows(of file: ParquetFile) throws {
    let rows = try RowCursor(file, columns: file.columns)
    var row = 0
    for group in file.rowGroups.indices {
      try rows.open(rowGroup: group)
      while try rows.advance() {
        #expect(try rows[0].truth() == (row % 5 == 0 ? nil : row % 3 == 0))
        #expect(try rows[1].integer() == Int64(row) - 7)
        #expect(try rows[2].integer() == (row % 4 == 1 ? nil : Int64(row) << 33))
        #expect(try rows[3].number() == (row > 100 ? Double(row) / 3 : nil))
        #expect(try rows[4].text() == (row % 7 == 6 ? nil : "四季 \(row / 10)"))
        #expect(rows[5].bytes?.count == (row % 11 == 3 ? nil : row))
        #expect(try rows[6].integer() == 1_680_307_200_000_000 + Int64(row))
        row += 1
      }
    }
    #expect(row == file.rowCount)
  }

  @Test("an uncommitted file leaves nothing behind")
  func uncommitted() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/out.parquet"
      do {
        let writer = try ParquetWriter(path: path, fields: fields)
        try writer.append(columns(0..<5))
      }
      #expect(throws: ParquetError.self) { try ParquetFile(path: path) }
    }
  }
}
