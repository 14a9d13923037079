import Evaluation
import Files
import Foundation
import Parquet
import TestSupport
import Testing

@Suite struct PromptListTests {
  private func list(_ name: String, _ content: String) throws -> PromptList {
    try withTemporaryFolder { folder in
      try Data(content.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      return try PromptList(path: "\(folder)/\(name)")
    }
  }

  private func texts(_ name: String, _ content: String) throws -> [String] {
    try list(name, content).entries.map(\.text)
  }

  @Test("text has a prompt a line; blank lines are none")
  func text() throws {
    #expect(try texts("a.txt", "a cat\r\n\n  a dog \n") == ["a cat", "a dog"])
    #expect(try texts("prompts", "\u{FEFF}one") == ["one"])
  }

  @Test("JSON has strings, or objects under any of the published names")
  func json() throws {
    #expect(
      try texts(
        "a.json",
        #"["x", {"caption": "y"}, {"prompt": "z", "n": 1}, {"text": "v"}, {"PROMPT": "w"}]"#)
        == ["x", "y", "z", "v", "w"])
    let lines = try list("a.jsonl", "{\"tag\": \"counting\", \"prompt\": \"two cats\"}\n\n\"b\"\n")
    #expect(lines.entries.map(\.text) == ["two cats", "b"])
    #expect(lines.entries[0].metadata["tag"] == "counting")
    #expect(lines.entries[1].metadata["prompt"] == "b")
    #expect(try texts("a.ndjson", "{\"prompt\": \"two cats\"}\r\n\"b\"") == ["two cats", "b"])
    // Python leaves these as they are in strings.
    #expect(
      try texts("a.jsonl", "\"a\u{2028}b\"\n\"c\u{85}d\"\n") == ["a\u{2028}b", "c\u{85}d"])
    #expect(try texts("a.json", "\u{FEFF}[\"x\"]") == ["x"])
  }

  @Test("PartiPrompts' table is read, with quoted fields")
  func table() throws {
    let tsv =
      "Prompt\tCategory\tChallenge\tNote\nbond\tAbstract\tBasic\t\n\"a \"\"sign\"\"\tthat\nreads\"\tx\ty\tz\n"
    let parti = try list("PartiPrompts.tsv", tsv)
    #expect(parti.entries.map(\.text) == ["bond", "a \"sign\"\tthat\nreads"])
    #expect(parti.entries[0].metadata["Category"] == "Abstract")
    #expect(try texts("a.csv", "id,prompt\n1,\"a, b\"\n2,c \"d\" e\n") == ["a, b", "c \"d\" e"])
  }

  @Test(
    "a parquet file has a prompt a row",
    arguments: [
      "prompts-duckdb.parquet", "pickapic-datasets.parquet", "imagerewarddb-pandas.parquet",
    ])
  func published(name: String) throws {
    let path = fixturePath("data/\(name)")
    let list = try PromptList(path: path)
    #expect(list.entries.count == (try ParquetFile(path: path)).rowCount)
    #expect(list.entries.allSatisfy { !$0.text.isEmpty })
  }

  @Test(
    "texts and numbers beside a parquet file's prompt are kept; what is no prompt is refused by its place"
  )
  func parquet() throws {
    try withTemporaryFolder { folder in
      // Its content decides, not its name.
      let path = "\(folder)/list.data"
      func write(_ name: String, _ texts: [[UInt8]?]) throws {
        let writer = try ParquetWriter(
          path: path, fields: [.init(name, .bytes), .init("count", .int64)])
        try writer.append([.bytes(texts), .int64s(texts.map { _ in 3 })])
        try writer.commit()
      }
      try write("Caption", [Array("a cat".utf8), nil, Array("a dog".utf8)])
      let list = try PromptList(path: path)
      #expect(list.entries.map(\.text) == ["a cat", "a dog"])
      #expect(list.entries[0].metadata["count"] == 3)
      try write("words", [Array("a cat".utf8)])
      #expect {
        try PromptList(path: path)
      } throws: {
        "\($0)".contains("\(path): no key or column") && "\($0)".contains("words, count")
      }
      try write("prompt", [Array("a cat".utf8), [0xFF]])
      #expect {
        try PromptList(path: path)
      } throws: {
        "\($0)".contains("\(path): row group 0, column prompt, row 1: ")
      }
    }
  }

  @Test("what is blank is no prompt, in any format")
  func blank() throws {
    for (name, content) in [
      ("a.txt", "x\n \ny\n"), ("a.csv", "prompt,n\nx,1\n,2\n\" \",3\ny,4\n"),
      ("a.tsv", "n\tprompt\n1\tx\n2\t\n3\ty\n"), ("a.json", #"["x", "", " ", null, "y"]"#),
      ("a.json", #"[{"prompt": "x"}, {"prompt": ""}, {"prompt": null}, {"prompt": "y"}]"#),
      ("a.jsonl", "{\"prompt\": \"x\"}\n{\"prompt\": \"\"}\n\"y\"\n"),
    ] { #expect(try texts(name, content) == ["x", "y"], "\(name): \(content)") }
    #expect(throws: PromptListError.self) { try texts("a.csv", "prompt,n\n,2\n") }
  }

  @Test(
    "what is no list is refused with its place",
    arguments: [
      ("a.json", "{}", "an object, expected a list of prompts: ["),
      ("a.json5", "[\"x\"]", "not a form of prompt lists; prompts are read from .json, "),
      ("a.json", #"[{"words": "x"}]"#, "found: words"),
      ("a.json", "[3]", "object"), ("a.json", "[]", "no prompt"), ("a.txt", "\n \n", "no prompt"),
      ("a.csv", "name\nx\n", "found: name"), ("a.csv", "prompt,b\nx\n", "line 2: 1 fields"),
      ("a.csv", "prompt\n\"x\ny", "line 2: a field"),
      ("a.jsonl", "\n{\"prompt\": \n", "a.jsonl:2:"),
      ("a.jsonl", "\"x\"\n  {\"prompt\": nope}\n", "a.jsonl:2:14: "),
      ("a.jsonl", "\"x\"\n[3]\n", "line 2"),
    ])
  func refused(name: String, content: String, part: String) {
    #expect {
      try list(name, content)
    } throws: { "\($0)".contains(part) }
  }

  @Test("bytes that are no text are refused")
  func bytes() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.txt"
      try Data([0x61, 0xFF, 0xFE]).write(to: URL(fileURLWithPath: path))
      #expect(throws: PromptListError.notText(path: path)) { try PromptList(path: path) }
    }
  }
}
