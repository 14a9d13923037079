import Catalog
import DataStages
import Files
import Stages
import TestSupport
import Testing

/// Text files whose records differ among themselves, or that lie otherwise than their names say.
@Suite struct RecordFormTests {
  /// The counts of a preview, as `pairs/rejects`, and its problems.
  private func funnel(
    _ content: String, as name: String, _ overrides: [String] = []
  ) throws -> (pairs: Int?, form: JSON?, problems: [String], rejections: JSON?) {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      try AtomicFile.replace(path, with: Array(content.utf8))
      let preview = try IngestPreview(
        files: [path], overrides: ["image_root=\(fixturePath("data"))"] + overrides,
        rowLimit: 1_000)
      let json = preview.json
      return (
        json["funnel"]?["pairs"]?.int, json["sources"]?[0]?["form"],
        json["problems"]?.array?.compactMap(\.string) ?? [], json["funnel"]?["rejects"]
      )
    }
  }

  private static func pair(_ number: Int, _ preferred: String = "0", also: String = "") -> String {
    """
    {"prompt": "p\(number)", "image_0": "images/0-0.png", "image_1": "images/0-1.png", \
    "preferred": \(preferred)\(also)}
    """
  }

  private static let pairs = (0..<6).map { pair($0) }

  @Test(
    "a record that is no object costs one row",
    arguments: ["\"x\"", "3", "null", "[\"x\"]"])
  func otherKinds(record: String) throws {
    let records = Self.pairs[..<3] + [record] + Self.pairs[3...]
    for (text, name) in [
      (records.joined(separator: "\n"), "a.jsonl"),
      ("[\(records.joined(separator: ", "))]", "a.json"),
      ("[\(record), \(Self.pairs.joined(separator: ", "))]", "a.json"),
    ] {
      let found = try funnel(text, as: name, ["max_reject_fraction=1"])
      #expect(found.form == "pairs")
      #expect(found.pairs == 6, "\(name): \(found)")
    }
  }

  @Test("strings alone are prompts")
  func prompts() throws {
    #expect(try funnel("[\"a\", \"b\"]", as: "a.json").form == "prompts")
  }

  @Test(
    "one record with members of another form does not decide the form",
    arguments: [
      #", "caption": "c""#, #", "chosen": "c.png", "rejected": "d.png""#,
      #", "votes_0": 1, "votes_1": 2"#,
    ])
  func strayMembers(also: String) throws {
    let records = Self.pairs + [Self.pair(6, also: also)]
    let found = try funnel("[\(records.joined(separator: ", "))]", as: "a.json")
    #expect(found.form == "pairs")
    #expect(found.pairs == 7, "\(found)")
  }

  @Test("records line by line are read under the ending .json, too")
  func lines() throws {
    let found = try funnel(Self.pairs.joined(separator: "\n") + "\n", as: "a.json")
    #expect(found.pairs == 6)
    let other = try funnel("{\"data\": [\(Self.pairs[0])]}", as: "a.json")
    #expect(other.problems.contains { $0.contains("jq '.NAME'") }, "\(other.problems)")
  }

  @Test(
    "the preferred image may be named by a truth value or a number with a point",
    arguments: [("true", 0.0), ("false", 1), ("1.0", 0), ("0.0", 1), ("-1", 0.5)])
  func preferred(value: String, label0: Double) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.json"
      try AtomicFile.replace(path, with: Array("[\(Self.pair(0, value))]".utf8))
      var pipeline = try DataPipeline(in: folder, sources: ["a.json"])
      pipeline.ingest["image_root"] = .string(fixturePath("data"))
      try pipeline.run(through: "ingest")
      let labels = try pipeline.catalog().database.rows("SELECT label_0 FROM pair") {
        try $0[0] as Double
      }
      #expect(labels == [label0])
    }
  }

  @Test("spaces around the fields of a CSV file do not count, and old line ends are named")
  func tables() throws {
    let row = "p, images/0-0.png, images/0-1.png, 0.0"
    let text = "prompt, image_0, image_1, preferred\n\(row)\n"
    let found = try funnel(text, as: "a.csv")
    #expect(found.form == "pairs")
    #expect(found.pairs == 1, "\(found)")
    let old = try funnel(text.replacing("\n", with: "\r"), as: "a.csv")
    #expect(old.problems.contains { $0.contains("bare carriage returns") }, "\(old.problems)")
  }

  @Test("what Python's json writes and JSON lacks is read, and costs a row only where it is used")
  func pythonNumbers() throws {
    let beside = #", "seed": 18446744073709551621, "score": NaN, "low": -Infinity"#
    let records = (0..<6).map { Self.pair($0, also: beside) }
    for (text, name) in [
      (records.joined(separator: "\n"), "a.jsonl"),
      ("[\(records.joined(separator: ", "))]", "a.json"),
    ] {
      #expect(try funnel(text, as: name).pairs == 6, "\(name)")
    }
    let used = Self.pairs + [Self.pair(6, "NaN"), Self.pair(7, also: #", "image_0_uid": 1e30"#)]
    let found = try funnel(
      used.joined(separator: "\n"), as: "a.jsonl", ["max_reject_fraction=1"])
    #expect((found.pairs ?? 8) < 8, "\(found)")
  }

  @Test("text in another encoding is named with the way to convert it")
  func latin1() throws {
    let row = "p, images/0-0.png, images/0-1.png, 0.0"
    for text in [
      "prompt,image_0,image_1,preferr\u{e9}\n\(row)\n",
      "prompt,image_0,image_1,preferred\ncaf\u{e9}\(row)\n",
    ] {
      try withTemporaryFolder { folder in
        let path = "\(folder)/a.csv"
        let bytes = text.unicodeScalars.map { UInt8($0.value) }
        try AtomicFile.replace(path, with: bytes)
        let preview = try IngestPreview(files: [path], overrides: [], rowLimit: 10).json
        #expect(preview.text().contains("iconv -f LATIN1"), "\(preview.text())")
      }
    }
  }
}
