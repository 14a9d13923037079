import Catalog
import Files
import Shards
import TestSupport
import Testing

/// The same comparisons in columns of other types, codecs and writers;
/// `Fixtures/stages/generate_meanings.py` says how they were written.
@Suite struct IngestMeaningTests {
  /// Caption, identities, labels and weight of every pair, by row.
  private func pairs(_ pipeline: DataPipeline) throws -> [String] {
    try pipeline.catalog().database.rows(
      """
      SELECT text || ' ' || first.uid || ' ' || second.uid || ' ' || label_0 || ' ' || label_1 || ' '
        || weight
      FROM pair JOIN image AS first ON first.id = image_0_id
      JOIN image AS second ON second.id = image_1_id JOIN prompt ON prompt.id = prompt_id
      ORDER BY pair.row
      """
    ) { try $0[0] as String }
  }

  private static func expected(_ row: Int) -> String {
    func uuid(_ number: Int) -> String {
      let digits = String(number, radix: 16)
      return "00000000-0000-0000-0000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }
    let labels = row % 2 == 0 ? "1.0 0.0" : "0.0 1.0"
    return "prompt \(row) \(uuid(row)) \(uuid(100 + row)) \(labels) 0.25"
  }

  @Test(
    "labels, weights, identities and captions are read as they are meant",
    arguments: [
      "decimal-small", "decimal-wide", "decimal-fixed", "truth", "text", "words", "half",
      "integers", "uuid", "category", "zstd", "lz4", "brotli", "gzip", "polars", "duckdb",
    ])
  func meanings(name: String) throws {
    try DataPipeline.with(["pairs-\(name).parquet"]) { pipeline throws in
      try pipeline.run(through: "ingest")
      #expect(try pairs(pipeline) == (0..<8).map(Self.expected))
    }
  }

  @Test(
    "an identity that is empty or null is the digest of the image",
    arguments: [("null", 16), ("some", 8)])
  func emptyIdentities(name: String, digests: Int) throws {
    try DataPipeline.with(["pairs-\(name)-uids.parquet"]) { pipeline in
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(try catalog.counts().pairs == 8)
      let count = "SELECT count(*) FROM image WHERE uid = sha256"
      #expect(try catalog.database.integer(count) == digests)
    }
  }

  @Test("two columns of one name are refused by name")
  func repeatedColumn() throws {
    try DataPipeline.with(["pairs-twice.parquet"]) { pipeline in
      let error = #expect(throws: (any Error).self) { try pipeline.run(through: "ingest") }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.contains("pairs-twice.parquet") && text.contains("label_0"), "\(text)")
    }
  }

  @Test("a file without identities is read with the digests of its images")
  func withoutIdentities() throws {
    try DataPipeline.with(["pairs-no-uids.parquet"]) { pipeline in
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(try catalog.counts().pairs == 8)
      #expect(try catalog.counts().images == 16)
      #expect(
        try catalog.database.integer("SELECT count(*) FROM image WHERE uid = sha256") == 16)
      try pipeline.run()
      #expect(try pipeline.shards("train").pairCount > 0)
    }
  }

  @Test(
    "a type that is not what is needed is refused by its name, before any row",
    arguments: [
      ("moments", "column label_0 is TIMESTAMP(MICROS), which cannot be read as a number"),
      ("days", "column caption is DATE, which cannot be read as a text"),
    ])
  func refused(name: String, message: String) throws {
    try DataPipeline.with(["pairs-\(name).parquet"]) { pipeline throws in
      let found = failure { try pipeline.run(through: "ingest") }
      #expect(found?.contains(message) == true, "\(found ?? "")")
      #expect(throws: CatalogError.self) { try pipeline.catalog() }
    }
  }

  @Test("JSON and CSV spell labels and booleans as parquet does")
  func textForms() throws {
    let lines = [
      #"{"caption": "a", "image_0_uid": 1, "image_1_uid": "y", "label_0": true, "label_1": false}"#,
      #"{"caption": "b", "image_0_uid": 2, "image_1_uid": "y", "label_0": "0", "label_1": "1"}"#,
      #"{"caption": "c", "image_0_uid": 3, "image_1_uid": "y", "label_0": 0.5, "label_1": "0.5","#
        + #" "has_label": 1.0, "num_example_per_prompt": "4"}"#,
      #"{"caption": "d", "image_0_uid": 4, "image_1_uid": "y", "label_0": "False","#
        + #" "label_1": " TRUE ", "has_label": "true"}"#,
    ]
    let csv = """
      caption,image_0_uid,image_1_uid,label_0,label_1,has_label,num_example_per_prompt
      a,1,y,true,false,1,
      b,2,y,0,1,TRUE,1
      c,3,y,0.5,0.5,true,4.0
      d,4,y,False, TRUE ,1.0,1
      """
    try withTemporaryFolder { folder in
      try AtomicFile.replace(
        "\(folder)/a.jsonl", with: Array(lines.joined(separator: "\n").utf8))
      try AtomicFile.replace(
        "\(folder)/b.json", with: Array("[\(lines.joined(separator: ","))]".utf8))
      try AtomicFile.replace("\(folder)/c.csv", with: Array(csv.utf8))
      for name in ["a.jsonl", "b.json", "c.csv"] {
        let pipeline = try DataPipeline(in: folder, sources: [name])
        try pipeline.run(through: "ingest")
        #expect(
          try pairs(pipeline) == [
            "a 1 y 1.0 0.0 1.0", "b 2 y 0.0 1.0 1.0", "c 3 y 0.5 0.5 0.25", "d 4 y 0.0 1.0 1.0",
          ], "\(name)")
      }
    }
  }

  @Test("what a file of records holds is the union of its records")
  func unionOfRecords() throws {
    let pair = #""image_0_uid": "x", "image_1_uid": "y", "label_0": 1, "label_1": 0"#
    let lines = [
      #"{"caption": "only a caption"}"#, #""a caption alone""#, "{ not JSON",
      #"{\#(pair), "caption": "a pair"}"#,
      #"{"caption": "another", \#(pair), "has_label": true}"#,
    ]
    try withTemporaryFolder { folder in
      try AtomicFile.replace(
        "\(folder)/train.jsonl", with: Array(lines.joined(separator: "\n").utf8))
      var pipeline = try DataPipeline(in: folder, sources: ["train.jsonl"])
      pipeline.ingest["max_reject_fraction"] = 0.9
      pipeline.ingest["only_with_label"] = "always"
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(try catalog.prompts().map(\.text).sorted() == ["a pair", "another"])
      #expect(
        try catalog.rejectionCountsByCode(stage: "ingest")
          == ["missing-value": 2, "unreadable-record": 1])
      #expect(try catalog.countsBySource().allSatisfy(\.isBalanced))
    }
  }

  @Test("a column of texts names images, as JSON does")
  func imagePaths() throws {
    let path = fixturePath("stages/pictures")
    let lines = [
      #"{"caption": "a", "jpg_0": "\#(path)/image-0-0-a", "jpg_1": {"path": "\#(path)/image-0-0-b"},"#
        + #" "label_0": 1, "label_1": 0}"#
    ]
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/train.jsonl", with: Array(lines[0].utf8))
      var pipeline = try DataPipeline(in: folder, sources: ["train.jsonl"])
      // Absolute paths lead only where the user says.
      #expect(
        failure { try pipeline.run(through: "ingest") }?.contains("ingest.image_root") == true)
      pipeline.ingest["image_root"] = .string(fixturePath("stages"))
      try pipeline.run(through: "ingest")
      #expect(try pipeline.catalog().counts().images == 2)
    }
  }

  @Test("a byte order mark is none of the first record, in any form", arguments: ["", "\u{feff}"])
  func byteOrderMark(mark: String) throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/0.png", with: try samplePNG(0))
      try AtomicFile.replace("\(folder)/1.png", with: try samplePNG(1))
      let record = #"{"prompt": "a", "chosen": "0.png", "rejected": "1.png"}"#
      for (name, text) in [
        ("a.jsonl", "\(record)\n\(record)\n"), ("b.json", "[\(record), \(record)]"),
        ("c.csv", "prompt,chosen,rejected\na,0.png,1.png\na,0.png,1.png\n"),
        ("d.tsv", "prompt\tchosen\trejected\na\t0.png\t1.png\na\t0.png\t1.png\n"),
      ] {
        try AtomicFile.replace("\(folder)/\(name)", with: Array((mark + text).utf8))
        var pipeline = try DataPipeline(in: folder, sources: [name])
        pipeline.workspace = "workspace-\(name)"
        try pipeline.run(through: "ingest")
        #expect(try pipeline.catalog().counts().pairs == 2, "\(name)")
        #expect(try pipeline.catalog().counts().rejections == 0, "\(name)")
      }
      try AtomicFile.replace("\(folder)/e.txt", with: Array("\(mark)a fox\na cat\n".utf8))
      let list = try DataPipeline(in: folder, sources: ["e.txt"])
      try list.run(through: "ingest")
      #expect(try list.catalog().prompts().map(\.text).sorted() == ["a cat", "a fox"])
    }
  }

  @Test("identities are read in all of 64 bits; what holds no records says so")
  func textValues() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/0.png", with: try samplePNG(0))
      try AtomicFile.replace("\(folder)/1.png", with: try samplePNG(1))
      let record = """
        {"caption": "a", "jpg_0": "0.png", "jpg_1": "1.png", "label_0": 1, "label_1": 0,
        "image_0_uid": 18446744073709551615, "image_1_uid": 9223372036854775808}
        """.replacing("\n", with: " ")
      try AtomicFile.replace("\(folder)/a.jsonl", with: Array(record.utf8))
      let pipeline = try DataPipeline(in: folder, sources: ["a.jsonl"])
      try pipeline.run(through: "ingest")
      let uids = try pipeline.catalog().database.rows("SELECT uid FROM image ORDER BY uid") {
        try $0[0] as String
      }
      #expect(uids == ["18446744073709551615", "9223372036854775808"])

      for (name, text) in [("b.json", Array("[]".utf8)), ("c.jsonl", Array(" \n\n".utf8))] {
        try AtomicFile.replace("\(folder)/\(name)", with: text)
        let empty = try DataPipeline(in: folder, sources: [name])
        let message = failure { try empty.run(through: "ingest") }
        #expect(
          message?.contains("\(name): it contains no records") == true, "\(message ?? "")")
      }
      try AtomicFile.replace("\(folder)/d.csv", with: [0xff, 0xfe, 0x61, 0, 0x0a, 0])
      let wide = try DataPipeline(in: folder, sources: ["d.csv"])
      let message = failure { try wide.run(through: "ingest") }
      #expect(message?.contains("d.csv: text in UTF-16") == true, "\(message ?? "")")
    }
  }
}
