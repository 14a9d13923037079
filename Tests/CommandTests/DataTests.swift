import Catalog
import Files
import Foundation
import TestSupport
import Testing

/// Good data is read as what it means, or refused by name.
@Suite(.serialized) struct DataTests {
  private static let pipeline = fixturePath("commands/small.json5")

  /// `spo run --through ingest` of these files.
  private func ingest(
    _ source: String, in folder: String, _ arguments: String...
  ) throws -> (outcome: Outcome, catalog: () throws -> CatalogDatabase) {
    let workspace = "\(folder)/workspace"
    let outcome = try Program(
      [
        "run", Self.pipeline, "--through", "ingest", "--workspace", workspace, "--set",
        "ingest.source=\(source)",
      ] + arguments
    ).outcome()
    return (
      outcome,
      { try CatalogDatabase(path: "\(workspace)/catalog.sqlite", access: .readOnly) }
    )
  }

  /// All pairs of the catalog in the order of their rows.
  private func pairs(_ catalog: CatalogDatabase) throws -> [PairRecord] {
    var pairs: [PairRecord] = []
    for split in try catalog.splits() {
      try catalog.forEachPromptGroup(inSplit: split) { pairs += $0.pairs }
    }
    return pairs
  }

  private func expectLabels(
    _ source: String, in folder: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (outcome, catalog) = try ingest(source, in: folder)
    expectSuccess(outcome, sourceLocation: sourceLocation)
    guard outcome.exitCode == 0 else { return }
    let labels = try pairs(try catalog()).map { [$0.label0, $0.label1] }
    #expect(labels.count == 8, sourceLocation: sourceLocation)
    #expect(labels.filter { $0 == [1, 0] }.count == 4, sourceLocation: sourceLocation)
    #expect(labels.filter { $0 == [0, 1] }.count == 4, sourceLocation: sourceLocation)
  }

  @Test(
    "labels are numbers in whatever type holds them",
    arguments: [
      "published", "label-truth", "label-text", "label-half", "decimal-labels", "decimal-int64",
      "decimal-bytes",
    ])
  func labels(name: String) throws {
    try withTemporaryFolder { folder in
      try expectLabels(fixturePath("commands/\(name).parquet"), in: folder)
    }
  }

  @Test("labels in text files may be true and false", arguments: ["jsonl", "csv", "json"])
  func textLabels(form: String) throws {
    try withTemporaryFolder { folder in
      let rows = (0..<8).map { row in
        (caption: "x \(row)", uids: ["a\(row)", "b\(row)"], label: row % 2 == 0)
      }
      let objects = rows.map { row in
        "{\"caption\": \"\(row.caption)\", \"image_0_uid\": \"\(row.uids[0])\", "
          + "\"image_1_uid\": \"\(row.uids[1])\", \"label_0\": \(row.label), \"label_1\": \(!row.label)}"
      }
      let text =
        switch form {
        case "jsonl": objects.joined(separator: "\n")
        case "json": "[\(objects.joined(separator: ","))]"
        default:
          "caption,image_0_uid,image_1_uid,label_0,label_1\n"
            + rows.map { "\($0.caption),\($0.uids[0]),\($0.uids[1]),\($0.label),\(!$0.label)" }
            .joined(separator: "\n")
        }
      let path = "\(folder)/train.\(form)"
      try AtomicFile.replace(path, with: Array("\(text)\n".utf8))
      try expectLabels(path, in: folder)
    }
  }

  @Test("a count of type DECIMAL is divided by its scale")
  func decimalCount() throws {
    try withTemporaryFolder { folder in
      let (outcome, catalog) = try ingest(
        fixturePath("commands/decimal-count.parquet"), in: folder)
      expectSuccess(outcome)
      guard outcome.exitCode == 0 else { return }
      #expect(try pairs(try catalog()).allSatisfy { $0.weight == 0.25 })
    }
  }

  @Test("identities of type UUID are read as text")
  func uuids() throws {
    try withTemporaryFolder { folder in
      let (outcome, catalog) = try ingest(fixturePath("commands/uid-uuid.parquet"), in: folder)
      expectSuccess(outcome)
      guard outcome.exitCode == 0 else { return }
      var uids: [String] = []
      try catalog().forEachImage { uids.append($0.uid) }
      #expect(uids.contains("00000000-0000-0000-0000-000000000064"), "\(uids.prefix(3))")
    }
  }

  @Test("without identities, images are known by the digest of their bytes")
  func noUIDs() throws {
    try withTemporaryFolder { folder in
      let (outcome, catalog) = try ingest(fixturePath("commands/uid-none.parquet"), in: folder)
      expectSuccess(outcome)
      guard outcome.exitCode == 0 else { return }
      try catalog().forEachImage { image in
        #expect(image.uid == image.sha256 && image.uid.count == 64)
      }
    }
  }

  @Test(
    "what is not read of the common codecs is refused with a way out, before any work",
    arguments: ["lz4", "brotli", "zstd"])
  func codecs(name: String) throws {
    let source = fixturePath("commands/codec-\(name).parquet")
    try withTemporaryFolder { folder in
      let (outcome, catalog) = try ingest(source, in: folder)
      if outcome.exitCode == 0 {
        #expect(try pairs(try catalog()).count == 8)
      } else {
        expect(outcome, failsAs: .input, naming: source, name.uppercased(), "snappy", "duckdb")
        let doctor = try spo("doctor", Self.pipeline, "--set", "ingest.source=\(source)")
        expect(doctor, failsAs: .input, naming: name.uppercased())
      }
    }
  }

  /// The file's location, and the split that its path indicates.
  static let positions = [
    ("hub/default/train/0000", "train"), ("hub/default/validation/0000", "validation"),
    ("hub/default/test/0000", "test"), ("hive/split=validation/part-0", "validation"),
    ("names/validation_0000", "validation"), ("names/data_test", "test"),
    ("names/valid", "validation"), ("names/my-test-split", "test"), ("names/dev-1", "validation"),
    ("names/val 2", "validation"), ("names/eval", "test"), ("names/contest", "train"),
    ("names/latest_invalid", "train"),
    // The file's name comes before its folders'.
    ("test/train-00000-of-00001", "train"),
  ]

  @Test(
    "a split is read from the file's name or else a folder's, as datasets reads it",
    arguments: positions)
  func splits(place: String, split: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(place).parquet"
      try FileManager.default.createDirectory(
        atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path,
        withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: fixturePath("commands/published.parquet"), toPath: path)
      let (outcome, catalog) = try ingest(path, in: folder)
      expectSuccess(outcome)
      guard outcome.exitCode == 0 else { return }
      #expect(try catalog().splits() == [split], "\(place)")
    }
  }

  @Test("where nothing says a split, that is said")
  func noSplit() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/part-0.parquet"
      try FileManager.default.copyItem(
        atPath: fixturePath("commands/published.parquet"), toPath: path)
      let outcome = try ingest(path, in: folder).outcome
      expectSuccess(outcome)
      #expect((outcome.errors + outcome.output).contains("no split; using train"), "\(outcome)")
    }
  }

  @Test("a split never becomes a path", arguments: ["../../victim", "a/b", "/tmp/x", "..", ""])
  func hostileSplit(split: String) throws {
    try withTemporaryFolder { folder in
      let outcome = try ingest(
        fixturePath("commands/published.parquet"), in: folder, "--set", "ingest.split=\(split)"
      ).outcome
      expect(outcome, failsAs: .settings, naming: "split")
    }
  }

  @Test("in text files, what a file holds is the union of its records")
  func union() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/train.jsonl"
      let lines = [
        #"{"caption": "x", "image_0_uid": "a", "image_1_uid": "b", "label_0": 1, "label_1": 0}"#,
        #"{"caption": "y", "image_0_uid": "c", "image_1_uid": "d", "label_0": 1, "label_1": 0, "#
          + #""num_example_per_prompt": 4}"#,
      ]
      try AtomicFile.replace(path, with: Array(lines.joined(separator: "\n").utf8))
      let (outcome, catalog) = try ingest(path, in: folder)
      expectSuccess(outcome)
      guard outcome.exitCode == 0 else { return }
      #expect(try pairs(try catalog()).map(\.weight).sorted() == [0.25, 1])
    }
  }

  @Test("rejected rows are shown with a count and an example; few rows have a limit, too")
  func rejections() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/train.jsonl"
      let lines = (0..<24).map { row in
        let label = row % 3 == 0 ? "\"many\"" : "1"
        return #"{"caption": "x", "image_0_uid": "a\#(row)", "image_1_uid": "b\#(row)", "#
          + #""label_0": \#(label), "label_1": 0}"#
      }
      try AtomicFile.replace(path, with: Array(lines.joined(separator: "\n").utf8))
      let outcome = try ingest(path, in: folder).outcome
      #expect(outcome.errors.contains("- 8 bad-value, such as"), "\(outcome)")
      // The error says by itself what is wrong, for a quiet run.
      expect(
        try ingest(path, in: folder, "--quiet").outcome, failsAs: .input, naming: "8 of 24", path,
        "row 0", "label_0", "many", "max_reject_fraction")
      let allowed = try ingest(
        path, in: folder, "--set", "ingest.max_reject_fraction=0.5"
      ).outcome
      expectSuccess(allowed)
      #expect((allowed.errors + allowed.output).contains("many"), "no example: \(allowed)")
    }
  }
}
