import Files
import Foundation
import Parquet
import TestSupport
import Testing

/// Damaged and malicious files: each is refused with a reason, or read where it is legal.
@Suite struct HostileFileTests {
  typealias Page = HandMadeFile.Page

  /// The outcome of the first column, or the error's text.
  func read(_ bytes: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      let path = "\(folder)/hostile.parquet"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      do throws(ParquetError) {
        let file = try ParquetFile(path: path)
        var outcome = ""
        for column in file.columns {
          switch try file.digest(of: column).outcome {
          case .values(let sum): outcome += sum
          case .unsupported(let reason): outcome += "unsupported: \(reason)"
          }
        }
        return outcome
      } catch {
        return "\(error)"
      }
    }
  }

  func read(_ file: HandMadeFile) throws -> String { try read(file.bytes) }

  func digest(_ values: [UInt8]) -> String { SHA256.hexDigest(of: values) }

  func expect(
    _ file: HandMadeFile, says text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try read(file)
    #expect(outcome.contains(text), "\(outcome)", sourceLocation: sourceLocation)
  }

  func withColumn(
    _ file: HandMadeFile, _ change: (inout HandMadeFile.Column) -> Void
  ) -> HandMadeFile {
    var file = file
    change(&file.columns[0])
    return file
  }

  let plain = HandMadeFile(.int32, [Page(words(1, 2, 3))])

  @Test("the hand-made file is in order")
  func handMadeFile() throws {
    #expect(try read(plain) == digest(words(1, 2, 3)))
  }

  // MARK: - Footer

  @Test(
    "a footer that contradicts its row groups is refused: rows may be missing", arguments: [2, 4])
  func declaredRows(count: Int64) throws {
    var file = HandMadeFile(.int32, [Page(words(1, 2, 3))])
    file.declaredRowCount = count
    try expect(file, says: "the footer says \(count) rows, its row groups have 3")
  }

  @Test("a list size is not believed")
  func listSize() throws {
    let footer: [UInt8] = [0x28, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0x51]
    let start = Array("PAR1".utf8)
    #expect(
      try read(HandMadeFile.closed(start, footer: footer)).contains("field 2 is of type binary"))
    // Field 2, a list of 2^31 structures.
    let list: [UInt8] = [0x15, 2, 0x19, 0xfc, 0x80, 0x80, 0x80, 0x80, 8]
    let outcome = try read(HandMadeFile.closed(start, footer: list))
    #expect(outcome.contains("a length of 2147483648 in the metadata, but only 0 bytes are left"))
  }

  @Test(
    "nesting is limited", arguments: [[0x1c], [0x19, 0x1c], [0x19], [0x1b, 1, 0xbb]] as [[UInt8]])
  func nesting(step: [UInt8]) throws {
    let footer = [UInt8]((0..<100_000).flatMap { _ in step })
    let outcome = try read(HandMadeFile.closed(Array("PAR1".utf8), footer: footer))
    #expect(outcome.contains("metadata") || outcome.contains("field"), "\(outcome)")
  }

  @Test("the schema's depth is limited")
  func schemaDepth() throws {
    var footer = ThriftWriter()
    footer.structure {
      $0.field(1, Int32(1))
      $0.field(2, list: Array(0..<1000)) { (writer, _) in
        writer.field(4, "g")
        writer.field(5, Int32(1))
      }
      $0.field(3, Int64(0))
      $0.field(4, list: [Int32]())
    }
    let outcome = try read(HandMadeFile.closed(Array("PAR1".utf8), footer: footer.bytes))
    #expect(outcome.contains("the schema is nested deeper than 64 levels"), "\(outcome)")
  }

  @Test(
    "the footer's length lies within the file", arguments: [0, 1 << 31, .max, 1000, 60] as [UInt32])
  func footerLength(length: UInt32) throws {
    let bytes = plain.bytes
    let body = Array(bytes.dropLast(8))
    let outcome = try read(HandMadeFile.closed(body, footer: [], length: length))
    #expect(outcome.contains("footer") || outcome.contains("metadata"), "\(outcome)")
  }

  @Test("both magics are needed, and said which is missing")
  func magics() throws {
    let bytes = plain.bytes
    #expect(try read(Array(bytes.dropLast(4))).contains("the file does not end with PAR1"))
    #expect(try read([0] + bytes).contains("not at its start"))
    #expect(try read(Array(bytes.dropFirst(4).dropLast(4))).contains("neither"))
    #expect(try read([]).contains("is empty"))
    #expect(try read(Array("PAR1PAR1".utf8)).contains("8 bytes"))
    #expect(try read(Array("PAR1\0\0\0\0PAR1".utf8)).contains("the footer claims 0 bytes"))
    #expect(try read(bytes.dropLast(4) + Array("PARE".utf8)).contains("encrypted"))
  }

  @Test("a file cut anywhere is refused")
  func truncation() throws {
    let bytes = plain.bytes
    for count in 0..<bytes.count {
      #expect(try read(Array(bytes.prefix(count))).contains("hostile.parquet"))
    }
  }

  @Test("numbers of the footer below zero or past the file are refused")
  func footerNumbers() throws {
    try expect(withColumn(plain) { $0.byteCount = -1 }, says: "-1 bytes")
    try expect(withColumn(plain) { $0.valueCount = -5 }, says: "-5 values")
    try expect(withColumn(plain) { $0.byteCount = 1 << 40 }, says: "are outside")
    try expect(withColumn(plain) { $0.offset = 1 << 62 }, says: "are outside")
    try expect(withColumn(plain) { $0.offset = -9 }, says: "are outside")
    try expect(withColumn(plain) { $0.dictionaryOffset = -9 }, says: "are outside")
    var file = plain
    file.rowCount = -1
    #expect(try read(file).contains("number of rows"))
  }

  @Test("a dictionary offset of 0 means none")
  func dictionaryOffsetZero() throws {
    #expect(
      try read(withColumn(plain) { $0.dictionaryOffset = 0 }) == digest(words(1, 2, 3)))
  }

  @Test("chunks that overlap are refused")
  func overlap() throws {
    var file = plain
    file.columns.append(file.columns[0])
    file.columns[1].name = "d"
    file.columns[1].offset = 8
    try expect(file, says: "row group 0, column d begins at byte 8, inside")
  }

  @Test("columns of unequal length are refused")
  func unequalColumns() throws {
    var file = plain
    file.columns.append(
      HandMadeFile.Column(name: "d", pages: [Page(words(1, 2), values: 2)], valueCount: 2))
    try expect(file, says: "row group 0, column d: 2 values in a row group of 3 rows")
    file.columns[1].valueCount = 3
    try expect(file, says: "the column chunk ends with 1 values missing")
  }

  @Test("widths of fixed-length values are limited", arguments: [0, -1, 1 << 30, .min] as [Int32])
  func fixedLength(width: Int32) throws {
    var file = HandMadeFile(.fixedLengthByteArray, [Page([1, 2, 3])])
    file.columns[0].typeLength = width
    try expect(file, says: "has values of \(width) bytes")
  }

  @Test("encryption, codecs and encodings that are not read are named")
  func unsupported() throws {
    try expect(withColumn(plain) { $0.isEncrypted = true }, says: "unsupported: the column is enc")
    try expect(withColumn(plain) { $0.codec = 99 }, says: "unknown codec 99")
    try expect(
      withColumn(plain) { $0.codec = 3 }, says: "compressed with LZO, which is not supported")
    try expect(withColumn(plain) { $0.codec = 3 }, says: "(COMPRESSION snappy)")
    try expect(
      HandMadeFile(.int32, [Page(words(1, 2, 3), encoding: 77)]), says: "unknown encoding 77")
  }

  @Test("a logical type that is not known is read as its physical type")
  func unknownLogicalType() throws {
    let outcome = try read(withColumn(plain) { $0.logicalType = 999 })
    #expect(outcome == digest(words(1, 2, 3)))
  }

  @Test("metadata is text, whatever it says")
  func metadataIsText() throws {
    var file = plain
    let value = "\u{80}\u{4}cposix\nsystem\n http://localhost/kms"
    file.keyValues = [KeyValue(key: "ARROW:extension:metadata", value: value)]
    try withTemporaryFolder { folder in
      try Data(file.bytes).write(to: URL(fileURLWithPath: "\(folder)/a.parquet"))
      let parquet = try ParquetFile(path: "\(folder)/a.parquet")
      #expect(parquet.metadata(for: "ARROW:extension:metadata") == value)
    }
  }
}
