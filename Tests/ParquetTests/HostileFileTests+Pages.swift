import Foundation
import Parquet
import TestSupport
import Testing

/// Damaged and malicious pages.
extension HostileFileTests {
  // MARK: - Page headers

  @Test("the numbers of a page header are not believed")
  func pageNumbers() throws {
    let body = words(1, 2, 3)
    try expect(
      HandMadeFile(.int32, [Page(body, values: 1_000_000_000)]),
      says: "the page claims 1000000000 values, but the column chunk has 3 left")
    try expect(HandMadeFile(.int32, [Page(body, values: -3)]), says: "the page claims -3 values")
    var page = Page(body)
    page.packedByteCount = -1
    try expect(HandMadeFile(.int32, [page]), says: "the page claims -1 bytes")
    page.packedByteCount = 1 << 30
    try expect(HandMadeFile(.int32, [page]), says: "the page claims 1073741824 bytes")
    page = Page(body)
    page.unpackedByteCount = -1
    try expect(HandMadeFile(.int32, [page]), says: "-1 unpacked")
    for change in [-1, 1, 1 << 29] {
      var packed = Page([12, 11 << 2] + body)
      packed.unpackedByteCount = body.count + change
      try expect(
        withColumn(HandMadeFile(.int32, [packed])) { $0.codec = 1 }, says: "page 0 (byte 4): ")
    }
  }

  @Test("a billion values in chunk and footer too end in an error, not in memory")
  func billionValues() throws {
    var file = HandMadeFile(.int32, [Page(words(1, 2, 3), values: 1_000_000_000)])
    file.rowCount = 1_000_000_000
    file.columns[0].valueCount = 1_000_000_000
    try expect(file, says: "row 3: expected 1021 values of 4 bytes, but only 0 bytes are left")
    // Indices without bits need no bytes at all, but a dictionary.
    file.columns[0].pages = [.dictionary([], values: 0), Page([0], values: 1 << 20, encoding: 8)]
    file.rowCount = 1 << 20
    file.columns[0].valueCount = 1 << 20
    try expect(file, says: "dictionary index 0, but the dictionary has 0")
  }

  @Test("the numbers of a page header of version 2 are not believed")
  func version2Numbers() throws {
    let body = words(1, 2, 3)
    var page = Page.version2(body)
    #expect(try read(HandMadeFile(.int32, [page])) == digest(body))
    page.definitionByteCount = -1
    try expect(HandMadeFile(.int32, [page]), says: "levels of 0 and -1 bytes")
    page.definitionByteCount = 13
    try expect(HandMadeFile(.int32, [page]), says: "levels of 0 and 13 bytes")
  }

  @Test("an empty page is legal, packed with snappy to nothing or to one byte")
  func emptyPages() throws {
    for body in [[], [0]] as [[UInt8]] {
      var empty = Page.version2(body, values: 0)
      empty.unpackedByteCount = 0
      var full = Page([12, 11 << 2] + words(1, 2, 3))
      full.unpackedByteCount = 12
      var file = HandMadeFile(.int32, [empty, full])
      file.columns[0].codec = 1
      #expect(try read(file) == digest(words(1, 2, 3)))
    }
    var nulls = Page.version2([6, 0], values: 3)
    nulls.definitionByteCount = 2
    nulls.nulls = 3
    var file = HandMadeFile(.int32, [nulls])
    file.columns[0].repetition = 1
    for codec in 0...2 as ClosedRange<Int32> {
      file.columns[0].codec = codec
      #expect(try read(file) == digest([]))
    }
  }

  @Test("a wrong CRC is refused, whatever the size of the page")
  func checksum() throws {
    for count in [3, 300_000] {
      let body = [UInt8](repeating: 7, count: count * 4)
      var page = Page(body, values: count)
      page.checksum = 12345
      var file = HandMadeFile(.int32, [page])
      file.rowCount = Int64(count)
      file.columns[0].valueCount = Int64(count)
      try expect(file, says: "its header says 00003039")
    }
  }

  // MARK: - Values

  @Test("a byte array that goes past its page is refused with its row")
  func byteArrayLength() throws {
    for length in [Int32.max, 3, -1] {
      let body = words(1) + [65] + words(length) + [66, 67]
      let expected = "row 1: a value of \(UInt32(bitPattern: length)) bytes, but only 2 are left"
      try expect(HandMadeFile(.byteArray, [Page(body)]), says: expected)
      var packed = Page([UInt8(body.count), UInt8(body.count - 1) << 2] + body)
      packed.unpackedByteCount = body.count
      var file = HandMadeFile(.byteArray, [packed])
      file.columns[0].codec = 1
      try expect(file, says: expected)
    }
    try expect(
      HandMadeFile(.byteArray, [Page(words(1) + [65])]),
      says: "row 1: expected a value, but only 0 bytes")
    for rest in [[1], words(0, 0) + [1], [UInt8](repeating: 0, count: 65)] {
      try expect(
        HandMadeFile(.byteArray, [Page(words(0, 0, 0) + rest)]),
        says: "\(rest.count) bytes are left after")
    }
  }

  @Test("dictionary indices lie within the dictionary")
  func dictionaryIndices() throws {
    let dictionary = Page.dictionary(words(7, 8), values: 2)
    let runs: [UInt8] = [1, 4, 0, 2, 1]  // twice index 0, once index 1
    #expect(
      try read(HandMadeFile(.int32, [dictionary, Page(runs, encoding: 8)]))
        == digest(words(7, 7, 8)))
    try expect(
      HandMadeFile(.int32, [Page(runs, encoding: 8)]), says: "without a dictionary page")
    try expect(
      HandMadeFile(.int32, [dictionary, Page([2, 6, 2], encoding: 8)]),
      says: "row 0: dictionary index 2, but the dictionary has 2")
    try expect(
      HandMadeFile(.int32, [dictionary, Page([2, 3, 0b100100], encoding: 8)]),
      says: "row 2: dictionary index 2, but")
    try expect(
      HandMadeFile(.int32, [dictionary, Page([32, 6, 0, 0, 0, 0x80], encoding: 8)]),
      says: "dictionary index 2147483648")
    try expect(
      HandMadeFile(.int32, [dictionary, dictionary, Page(runs, encoding: 8)]),
      says: "not the chunk's first page")
    try expect(
      HandMadeFile(.int32, [.dictionary(words(7, 8), values: 1 << 30), Page(runs, encoding: 8)]),
      says: "a dictionary of 1073741824 values")
    try expect(
      HandMadeFile(.byteArray, [.dictionary(words(0), values: 1 << 30), Page(runs, encoding: 8)]),
      says: "a dictionary of 1073741824 byte arrays in 4 bytes")
    try expect(
      HandMadeFile(.byteArray, [.dictionary(words(9), values: 1), Page(runs, encoding: 8)]),
      says: "dictionary value 0 has 9 bytes")
  }

  @Test("widths of packed indices are 0 to 32", arguments: [33, 63, 254, 255] as [UInt8])
  func indexWidths(width: UInt8) throws {
    let dictionary = Page.dictionary(words(7, 8), values: 2)
    try expect(
      HandMadeFile(.int32, [dictionary, Page([width, 6, 0], encoding: 8)]),
      says: "packed integers of \(width) bits")
    for body in [[0], [0, 6], [0, 3]] as [[UInt8]] {
      #expect(
        try read(HandMadeFile(.int32, [dictionary, Page(body, encoding: 8)]))
          == digest(words(7, 7, 7)))
    }
  }

  @Test("levels and values fit together")
  func levels() throws {
    func optional(_ levels: [UInt8], _ values: [UInt8]) -> HandMadeFile {
      var file = HandMadeFile(.int32, [Page(words(Int32(levels.count)) + levels + values)])
      file.columns[0].repetition = 1
      return file
    }
    #expect(try read(optional([4, 1, 2, 0], words(1, 2))) == digest(words(1, 2)))
    try expect(optional([4, 1], words(1, 2, 3)), says: "packed integers end with 1 values missing")
    try expect(optional([6, 1], words(1, 2)), says: "row 2: expected 1 values of 4 bytes")
    try expect(optional([4, 1, 2, 0], words(1, 2, 3)), says: "4 bytes are left after")
    try expect(optional([6, 2], words(1, 2, 3)), says: "more than 1 bits")
    try expect(optional([0, 0, 0, 0], words(1, 2, 3)), says: "packed integers end")
    var file = HandMadeFile(.int32, [Page(words(1000) + [6, 1] + words(1, 2, 3))])
    file.columns[0].repetition = 1
    try expect(file, says: "expected 1000 bytes")
    // Nulls where there may be none: the levels are taken for values.
    try expect(
      HandMadeFile(.int32, [Page(words(2) + [6, 1] + words(1, 2, 3))]), says: "left after")
  }

  @Test("lists begin with a row, and their rows are counted")
  func repetitionLevels() throws {
    func repeated(_ repetitions: [UInt8], rows: Int64) -> HandMadeFile {
      let levels = words(Int32(repetitions.count)) + repetitions + words(2) + [6, 1]
      var file = HandMadeFile(.int32, [Page(levels + words(1, 2, 3))])
      file.columns[0].repetition = 2
      file.rowCount = rows
      return file
    }
    // Levels 0, 1, 0.
    #expect(try read(repeated([3, 0b010], rows: 2)) == digest(words(1, 2, 3)))
    try expect(repeated([3, 0b010], rows: 3), says: "the column has 2 rows, the row group 3")
    try expect(repeated([3, 0b011], rows: 1), says: "begins inside a list")
  }

  @Test("the deprecated bit-packed levels are read")
  func bitPackedLevels() throws {
    var page = Page([0b1010_0000] + words(5, 6))
    page.levelEncoding = 4
    var file = HandMadeFile(.int32, [page])
    file.columns[0].repetition = 1
    #expect(try read(file) == digest(words(5, 6)))
    file.columns[0].pages[0].levelEncoding = 9
    try expect(file, says: "levels with encoding 9")
  }

  @Test(
    "delta blocks are checked",
    arguments: [
      ([0, 4, 3, 2], "delta blocks of 0 values"),
      ([100, 4, 3, 2], "delta blocks of 100 values"),
      ([0x80, 1, 0, 3, 2], "in 0 miniblocks"),
      ([0x80, 1, 3, 3, 2], "in 3 miniblocks"),
      ([0x80, 1, 8, 3, 2], "in 8 miniblocks"),
      ([0x80, 1, 4, 9, 2], "a delta stream claims 9 values"),
      ([0x80, 1, 4, 2, 2, 2, 0, 0, 0, 0], "1 values missing"),
      ([0x80, 1, 4, 3, 2, 2, 33, 0, 0, 0], "differences of 33 bits in a type of 32"),
      ([0x80, 1, 4, 3, 2, 2, 8, 0, 0, 0, 1, 2], "ends inside a miniblock"),
      ([0x80, 1, 4, 3, 2, 2, 0, 0], "ends inside its bit widths"),
      ([0x80, 1, 4], "ends in its header"),
      ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "more than 64 bits"),
    ] as [([UInt8], String)])
  func deltaBlocks(body: [UInt8], reason: String) throws {
    try expect(HandMadeFile(.int32, [Page(body, encoding: 5)]), says: reason)
  }

  @Test("differences without bits are a legal arithmetic series")
  func deltaSeries() throws {
    let body: [UInt8] = [0x80, 1, 4, 3, 2, 2, 0, 0, 0, 0]
    #expect(
      try read(HandMadeFile(.int32, [Page(body, encoding: 5)])) == digest(words(1, 2, 3)))
  }

  @Test("a shared prefix is no longer than the value before")
  func deltaPrefix() throws {
    // Prefixes 0, 2, 4 and suffixes of one byte each.
    let prefixes: [UInt8] = [0x80, 1, 4, 3, 0, 4, 0, 0, 0, 0]
    let suffixes: [UInt8] = [0x80, 1, 4, 3, 2, 0, 0, 0, 0, 0]
    try expect(
      HandMadeFile(.byteArray, [Page(prefixes + suffixes + [65, 66, 67], encoding: 7)]),
      says: "a value shares 2 bytes with the one before, which has 1")
    try expect(
      HandMadeFile(.byteArray, [Page(suffixes + [65, 66], encoding: 6)]),
      says: "the values' lengths add up to 3, but 2 bytes follow")
    // Lengths -1, -1, -1.
    let negative: [UInt8] = [0x80, 1, 4, 3, 1, 0, 0, 0, 0, 0]
    try expect(HandMadeFile(.byteArray, [Page(negative, encoding: 6)]), says: "a value of -1 bytes")
  }

  @Test("streams of split bytes are whole, and encodings fit their types")
  func otherEncodings() throws {
    try expect(
      HandMadeFile(.float, [Page([1, 2, 3, 4, 5], encoding: 9)]), says: "5 bytes are not streams")
    try expect(
      HandMadeFile(.float, [Page(words(1, 2), encoding: 9)]), says: "values, but only")
    try expect(HandMadeFile(.double, [Page(words(1), encoding: 5)]), says: "values of type DOUBLE")
    try expect(HandMadeFile(.boolean, [Page([], encoding: 0)]), says: "expected a value")
    try expect(HandMadeFile(.boolean, [Page([1], encoding: 3)]), says: "without their length")
    try expect(
      HandMadeFile(.boolean, [Page(words(9) + [6], encoding: 3)]), says: "expected 9 bytes of runs")
  }
}
