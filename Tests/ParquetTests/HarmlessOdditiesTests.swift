import Files
import Parquet
import Testing

/// Files that break a rule without harm: they are read as pyarrow and DuckDB read them.
extension HostileFileTests {
  @Test("what a page header says twice is not needed: sizes without a codec, nulls and rows")
  func redundantNumbers() throws {
    let body = words(1, 2, 3)
    for unpacked in [0, 1, 11, 13, 1 << 20] {
      for version in [Page(body), .version2(body)] {
        var page = version
        page.unpackedByteCount = unpacked
        #expect(try read(HandMadeFile(.int32, [page])) == digest(body))
      }
      var dictionary = Page.dictionary(words(7, 8), values: 2)
      dictionary.unpackedByteCount = unpacked
      let indices = Page([1, 3, 2], encoding: 8)
      #expect(
        try read(HandMadeFile(.int32, [dictionary, indices])) == digest(words(7, 8, 7)))
    }
    for number in [-1, 0, 1, 9] as [Int32] {
      var page = Page.version2(body)
      page.nulls = number
      #expect(try read(HandMadeFile(.int32, [page])) == digest(body))
      page = .version2(body)
      page.rows = number
      #expect(try read(HandMadeFile(.int32, [page])) == digest(body))
    }
  }

  @Test("a writer that counts no rows: the row groups' numbers count")
  func uncountedRows() throws {
    var file = HandMadeFile(.int32, [Page(words(1, 2, 3))])
    file.declaredRowCount = 0
    #expect(try read(file) == digest(words(1, 2, 3)))
  }

  @Test(
    "old writers leave the dictionary's header out of the chunk's size",
    arguments: [
      ("parquet-mr", true), ("parquet-mr version 1.2.8 (build 1)", true),
      ("parquet-mr version 1.2.9", false), ("parquet-mr version 1.12.0", false),
      ("another version 1.0.0", false),
    ])
  func dictionaryHeader(writer: String, isRead: Bool) throws {
    let dictionary = Page.dictionary(words(7, 8), values: 2)
    let indices = Page([1, 3, 2], encoding: 8)
    var file = HandMadeFile(.int32, [dictionary, indices])
    file.columns.append(.init(name: "d", pages: [Page(words(4, 5, 6))]))
    file.createdBy = writer
    let header = dictionary.bytes.count - dictionary.body.count
    file.columns[0].byteCount = Int64(dictionary.bytes.count + indices.bytes.count - header)
    let outcome = try read(file)
    let expected = digest(words(7, 8, 7)) + digest(words(4, 5, 6))
    #expect((outcome == expected) == isRead, "\(outcome)")
  }

  @Test("booleans may be rounded up to groups", arguments: [0, 1, 7, 64])
  func paddedBooleans(padding: Int) throws {
    let zeros = [UInt8](repeating: 0, count: padding)
    let expected = digest([1, 0, 1])
    #expect(try read(HandMadeFile(.boolean, [Page([5] + zeros)])) == expected)
    #expect(try read(HandMadeFile(.boolean, [.version2([5] + zeros)])) == expected)
    // In runs: a group of eight values, behind the length of the whole.
    let runs = words(Int32(2 + padding)) + [3, 5] + zeros
    #expect(try read(HandMadeFile(.boolean, [Page(runs, encoding: 3)])) == expected)
    // A row that is absent takes no bit.
    var file = HandMadeFile(.boolean, [Page(words(2) + [3, 5, 1] + zeros)])
    file.columns[0].repetition = 1
    #expect(try read(file) == digest([1, 0]))
  }

  @Test("metadata that is no text, and a root that is no group, say nothing")
  func oddMetadata() throws {
    func footer(
      rootType: Int32?, rootChildren: Int32?, keyValues: (inout ThriftWriter) -> Void
    ) -> [UInt8] {
      var footer = ThriftWriter()
      footer.structure {
        $0.field(1, Int32(2))
        $0.field(2, list: [0]) { (writer, _) in
          if let rootType { writer.field(1, rootType) }
          writer.field(4, "schema")
          if let rootChildren { writer.field(5, rootChildren) }
        }
        $0.field(3, Int64(0))
        $0.field(4, list: [Int32]())
        keyValues(&$0)
      }
      return footer.bytes
    }
    let start = Array("PAR1".utf8)
    for (type, children) in [(nil, 0), (1, nil), (7, 0), (nil, nil)] as [(Int32?, Int32?)] {
      let bytes = HandMadeFile.closed(
        start, footer: footer(rootType: type, rootChildren: children) { _ in })
      #expect(try read(bytes) == "")
    }
    for odd in [
      { $0.field(5, list: [0]) { (writer, _) in writer.field(1, "key") } },
      { $0.field(5, list: [0]) { (writer, _) in writer.field(2, Int32(7)) } },
      { $0.field(5, list: [0]) { (writer, _) in writer.field(2) { $0.field(1, Int32(1)) } } },
      { $0.field(5, list: [1, 2] as [Int32]) }, { $0.field(5, Int32(7)) },
      { $0.field(5, list: [Int32]()) }, { $0.field(6, Int32(7)) },
    ] as [(inout ThriftWriter) -> Void] {
      let bytes = HandMadeFile.closed(
        start, footer: footer(rootType: nil, rootChildren: 0, keyValues: odd))
      #expect(try read(bytes) == "")
    }
  }

  @Test("a few zeros behind a page's last value are padding")
  func padding() throws {
    let zeros = [UInt8](repeating: 0, count: 8)
    let numbers = words(1, 2, 3)
    #expect(try read(HandMadeFile(.int32, [Page(numbers + zeros)])) == digest(numbers))
    #expect(try read(HandMadeFile(.int32, [.version2(numbers + zeros)])) == digest(numbers))
    let texts = words(1) + [65] + words(0) + words(1) + [66]
    #expect(try read(HandMadeFile(.byteArray, [Page(texts + zeros)])) == digest(texts))
    let dictionary = Page.dictionary(words(7, 8) + zeros, values: 2)
    let indices = Page([1, 3, 2], encoding: 8)
    #expect(try read(HandMadeFile(.int32, [dictionary, indices])) == digest(words(7, 8, 7)))
  }
}
