import Files
import Foundation
import TestSupport
import Testing

/// `spo ingest --dry-run` and `spo audit` as they are called.
@Suite(.serialized) struct IngestCommandTests {
  private static let pairs = fixturePath("data/pairs-pandas.csv")

  @Test("a dry run prints text or one JSON object and writes nothing")
  func dryRun() throws {
    try withTemporaryFolder { folder in
      let text = try spo("ingest", "--dry-run", Self.pairs, in: folder)
      expectSuccess(text)
      for words in [
        "pairs: two images", "preferred: which image is preferred", "= 8 pairs in train",
      ] {
        #expect(text.output.contains(words), "\(words) in \(text.output)")
      }
      let json = try spo("ingest", "--dry-run", Self.pairs, "--json", in: folder)
      expectSuccess(json)
      #expect(try JSON(parsing: json.output)["funnel"]?["pairs"] == 8)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("what could not be ingested is exit code 4, and one line says the first problem")
  func refusals() throws {
    expect(
      try spo("ingest", "--dry-run", "nothing.csv", Self.pairs), failsAs: .input,
      naming: "nothing.csv")
    expect(
      try spo("ingest", "--dry-run", Self.pairs, "--set", "columns.preferred=other"),
      failsAs: .input, naming: "no column other")
    expect(
      try spo("ingest", "--dry-run", Self.pairs, "--set", "format=wrong"), failsAs: .settings,
      naming: "format", "chosen_rejected")
    expect(try spo("ingest", Self.pairs), failsAs: .usage, naming: "--dry-run")
  }

  @Test("an audit prints its findings, and writes only where it is told")
  func audit() throws {
    try withTemporaryFolder { folder in
      let text = try spo("audit", Self.pairs, in: folder)
      expectSuccess(text)
      #expect(text.output.contains("Contradictions: none"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      let json = try spo("audit", Self.pairs, "--json", "--out", "audit", in: folder)
      expectSuccess(json)
      #expect(try JSON(parsing: json.output)["pairs"] == 8)
      #expect(FileManager.default.fileExists(atPath: "\(folder)/audit/index.html"))
      expect(try spo("audit", "nothing.csv", in: folder), failsAs: .input, naming: "nothing.csv")
      expect(
        try spo("audit", "nothing.json5", in: folder), failsAs: .input, naming: "nothing.json5")
    }
  }
}
