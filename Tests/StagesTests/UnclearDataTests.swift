import Catalog
import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Data that can be read, but not as what it seems to say.
@Suite struct UnclearDataTests {
  private func doctor(_ pipeline: DataPipeline) throws -> Doctor {
    try Doctor(limits: MachineLimits(memory: 1 << 40, freeDisk: nil), rates: nil) { _ in
      try pipeline.pipeline()
    }
  }

  /// Text files next to six images, `0.png` to `5.png`.
  private func with(
    _ files: [String: String], _ body: (String, inout DataPipeline) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      for number in 0..<6 {
        try AtomicFile.replace("\(folder)/\(number).png", with: try samplePNG(number))
      }
      for (name, text) in files {
        try AtomicFile.replace("\(folder)/\(name)", with: Array(text.utf8))
      }
      var pipeline = try DataPipeline(in: folder, sources: files.keys.sorted())
      pipeline.ingest["max_reject_fraction"] = 0.9
      try body(folder, &pipeline)
    }
  }

  /// A row for each value, of different images.
  private func preferences(_ values: [String]) -> String {
    "prompt,image_0,image_1,preferred\n"
      + values.enumerated().map { "fox \($0),0.png,\($0 % 5 + 1).png,\($1)\n" }.joined()
  }

  @Test("a column of 1 and -1 alone is refused: it is not clear which image, or a tie, is meant")
  func signs() throws {
    for values in [["1", "-1", "1"], ["+1", "-1.0"], ["-1", "1.0", ""]] {
      try with(["a.csv": preferences(values)]) { folder, pipeline in
        let words = "\(folder)/a.csv: column preferred has only 1 and -1, which may mean"
        #expect(failure { try pipeline.run(through: "ingest") }?.contains(words) == true)
        #expect(failure { _ = try doctor(pipeline) }?.contains(words) == true)
        let preview = try IngestPreview(files: ["\(folder)/a.csv"], overrides: [], rowLimit: 10)
        #expect(preview.problems.contains { $0.contains(words) }, "\(preview.problems)")
      }
    }
  }

  @Test("with any other value in any file, or without both, -1 is a tie as documented")
  func plainSigns() throws {
    for (files, labels) in [
      (["a.csv": ["1", "-1", "0"]], ["0.0", "0.5", "1.0"]),
      (["a.csv": ["1", "-1"], "b.csv": ["0"]], ["0.0", "0.5", "1.0"]),
      (["a.csv": ["1", "-1", "tie"]], ["0.0", "0.5", "0.5"]),
      (["a.csv": ["1", "1"]], ["0.0", "0.0"]),
      (["a.csv": ["-1"]], ["0.5"]),
    ] as [([String: [String]], [String])] {
      try with(files.mapValues(preferences)) { _, pipeline in
        try pipeline.run(through: "ingest")
        let found = try pipeline.catalog().database.rows("SELECT label_0 FROM pair ORDER BY 1") {
          "\(try $0[0] as Double)"
        }
        #expect(found == labels, "\(files)")
      }
    }
  }

  @Test("where semicolons separate fields, a comma may be that of a number")
  func decimalCommas() throws {
    let text =
      "prompt;image_0;image_1;label_0;label_1\na, b;0.png;1.png;0,5;0,5\nc;1.png;2.png;1,0;0,0\n"
    try with(["a.csv": text]) { _, pipeline in
      try pipeline.run(through: "ingest")
      let database = try pipeline.catalog().database
      let labels = try database.rows("SELECT label_0, label_1 FROM pair ORDER BY 1") {
        "\(try $0[0] as Double) \(try $0[1] as Double)"
      }
      #expect(labels == ["0.5 0.5", "1.0 0.0"], "\(labels)")
      let prompts = try database.rows("SELECT text FROM prompt ORDER BY 1") {
        try $0[0] as String
      }
      #expect(prompts == ["a, b", "c"])
    }
  }

  @Test(
    "a quotation mark within a field is a character; one that is not closed costs its row alone",
    arguments: [("csv", ","), ("tsv", "\t")])
  func quotes(ending: String, separator: String) throws {
    func row(_ fields: String...) -> String { fields.joined(separator: separator) + "\n" }
    func pair(_ prompt: String) -> String { row(prompt, "0.png", "1.png") }
    let header = row("prompt", "chosen", "rejected")
    var rows = (0..<1_200).map { pair($0 % 40 == 7 ? "a \($0)\" pizza" : "fox \($0)") }
    rows[3] = pair("\"two\nlines, and \"\"more\"\"\"")
    func ingest(_ rows: [String]) throws -> (prompts: [String], rejections: [String]) {
      var found: ([String], [String]) = ([], [])
      try with(["a.\(ending)": header + rows.joined()]) { _, pipeline in
        try pipeline.run(through: "ingest")
        let database = try pipeline.catalog().database
        found.0 = try database.rows("SELECT text FROM prompt ORDER BY id") { try $0[0] as String }
        found.1 = try database.rows("SELECT reason FROM reject ORDER BY row") {
          try $0[0] as String
        }
      }
      return found
    }
    let good = try ingest(rows)
    #expect(good.prompts.count == 1_200 && good.rejections.isEmpty, "\(good.rejections)")
    #expect(good.prompts[3] == "two\nlines, and \"more\"" && good.prompts[7] == "a 7\" pizza")
    // The next quotation mark is far away, in a field that it cannot close; after the last there is none.
    let bad = [5, 1_199] + (700..<720)
    for row in bad { rows[row] = pair("\"open \(row)") }
    // What closes badly on its own line does not reach into others either.
    rows[900] = row("\"a\" b", "\"0.png", "1.png")
    rows[901] = pair("fox 901\"")
    let poor = try ingest(rows)
    #expect(poor.prompts.count == 1_177 && poor.prompts.contains("fox 901\""))
    #expect(
      poor.rejections
        == [String](
          repeating: "a quotation mark is not closed, or is inside a field", count: 23))
    // Each of these could be open up to the end.
    let open = [String](repeating: row("x\"", "\"y", "1.png"), count: 40_000)
    let message = failure { _ = try ingest(open) } ?? "accepted"
    #expect(message.contains("too many quotation marks are not closed"), "\(message)")
  }

  @Test("a bad record of a JSON list is rejected with its line and column, as one of JSON lines is")
  func badElements() throws {
    let good = #"{"prompt": "a", "chosen": "0.png", "rejected": "1.png"}"#
    let bad = [
      #"{"prompt": "[, é]}\"", "weight": 1e999, "chosen": "0.png"}"#,
      #"{"prompt": "b", "prompt": "c"}"#,
    ]
    try with(["a.json": "[\(good),\n\(good), \(bad[0]),\n \(bad[1]), \(good)]\n"]) { _, pipeline in
      try pipeline.run(through: "ingest")
      let database = try pipeline.catalog().database
      let reasons = try database.rows("SELECT reason FROM reject ORDER BY row") {
        try $0[0] as String
      }
      #expect(reasons.count == 2)
      let column = good.count + 3 + (bad[0].split(separator: "1e999").first?.count ?? 0)
      #expect(reasons.first?.hasPrefix("line 2, column \(column): ") == true, "\(reasons)")
      #expect(reasons.last?.hasPrefix("line 3, column ") == true, "\(reasons)")
    }
    // One that is cut off is no list, and where an element is no JSON, the others cannot be told from it.
    let broken = #"{"prompt": "a 5" screen"}"#
    for text in [
      "[\(good), \(broken), \(good), \(broken), \(good)]", "[\(good), \(bad[0])",
      "[\(good)] x", "[\(bad[1])]", "{\"a\": [\(good)}",
    ] {
      try with(["a.json": text]) { _, pipeline in
        #expect(failure { try pipeline.run(through: "ingest") }?.contains("a.json") == true)
      }
    }
  }

  @Test("a list that names rows and images says where it does which")
  func mixedLists() throws {
    let rows = "prompt,chosen,rejected\n" + (0..<4).map { "fox,\($0).png,\($0 + 1).png\n" }.joined()
    try with(["a.csv": rows]) { folder, pipeline in
      let list = "\(folder)/keep.txt"
      try AtomicFile.replace(list, with: Array("# good ones\na.csv:1\n\nabcdef\n2\n".utf8))
      pipeline.ingest["keep"] = .string(list)
      let message = failure { try pipeline.run(through: "ingest") } ?? "accepted"
      #expect(
        message.contains("mixes rows (\(list): line 2) and images (\(list): line 4)"), "\(message)")
    }
  }

  @Test("a record of JSON lines that cannot be parsed is rejected with its line and column")
  func place() throws {
    let good = #"{"prompt": "a", "chosen": "0.png", "rejected": "1.png"}"#
    // More than a block of records before the last one.
    let lines =
      ["", good, #"{"prompt": nope}"#] + [String](repeating: good, count: 600) + [
        "", "[1 2]", good,
      ]
    try with(["a.jsonl": lines.joined(separator: "\n")]) { _, pipeline in
      try pipeline.run(through: "ingest")
      let reasons = try pipeline.catalog().database.rows(
        "SELECT reason FROM reject ORDER BY row"
      ) { try $0[0] as String }
      #expect(reasons.count == 2)
      #expect(reasons.first?.hasPrefix("line 3, column 12: ") == true, "\(reasons)")
      #expect(reasons.last?.hasPrefix("line 605, column 4: ") == true, "\(reasons)")
    }
  }
}
