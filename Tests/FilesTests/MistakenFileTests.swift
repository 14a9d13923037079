import Files
import Foundation
import TestSupport
import Testing

@Suite struct MistakenFileTests {
  static let pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "0", count: 64))\n"
    + "size 3285520\n"

  @Test("what is in a file's place is named")
  func names() throws {
    for (bytes, message) in [
      (Array(Self.pointer.utf8), "is a Git LFS pointer, not the file itself: git lfs pull"),
      ([], "is empty, not a model"), (Array("\n<!DOCTYPE HTML><p>".utf8), "is an HTML page"),
      (Array("<html lang=\"en\">".utf8), "is an HTML page"),
      (Array("<?xml version='1.0'?><Error/>".utf8), "is an XML document"),
      (Array("PK\u{3}\u{4}xx".utf8), "is a ZIP archive, not a model: unpack it"),
      ([0x1F, 0x8B, 8], "is a gzip file"),
      ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "is a 7z archive"),
      (
        Array("name".utf8) + [UInt8](repeating: 0, count: 253) + Array("ustar".utf8),
        "a tar archive"
      ),
      (Array("Entry not found".utf8), "that starts with \"Entry not found\""),
      (Array("{\"error\": \"größe\"}".utf8), "that starts with"),
    ] as [([UInt8], String)] {
      let mistake = try #require(MistakenFile(head: bytes, expected: "a model"))
      #expect(mistake.problem(expected: "a model").contains(message))
    }
  }

  @Test("what is expected, or says nothing, is no mistake")
  func none() {
    #expect(MistakenFile(head: Array("PAR1".utf8), expected: "a parquet file") == nil)
    #expect(MistakenFile(head: [0, 1, 2, 3], expected: "a model") == nil)
    #expect(MistakenFile(head: Array("{\"a\": 1".utf8), expected: "JSON", isText: true) == nil)
    // A character cut in two at the end of the head.
    let long = Array(String(repeating: "é", count: 600).utf8.dropFirst())
    #expect(MistakenFile(head: long, expected: "a model") == nil)
  }

  @Test("a JSON file that cannot be parsed is named as what it is")
  func json() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/config.json"
      for (text, message) in [
        (Self.pointer, "\(path) is a Git LFS pointer"), ("", "\(path) is empty"),
        ("{\"a\":}", "\(path):1:6: "),
      ] {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: (any Error).self) { try JSON(contentsOf: path) }
        #expect("\(error.map { "\($0)" } ?? "")".hasPrefix(message))
      }
    }
  }
}
