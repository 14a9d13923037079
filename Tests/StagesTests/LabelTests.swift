import Files
import Foundation
import PipelineCore
import Shards
import Stages
import TestSupport
import Testing

@Suite struct LabelTests {
  private static let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path

  private func run(_ run: MiniatureRun, _ overrides: [String] = []) throws -> [RunEvent] {
    let text = """
      { workspace: "\(run.workspace)", model: "\(Self.repository)/data/tiny-sd",
        stages: { ingest: { source: "\(run.folder)/*.parquet" }, encode: {},
          label: { scorer: "\(run.folder)/judge" }, shard: { labels: "model" } } }
      """
    let path = "\(run.folder)/pipeline.json5"
    try AtomicFile.replace(path, with: Array(text.utf8))
    var events: [RunEvent] = []
    let pipeline = try Pipeline(path: path, stages: stageTypes, overrides: overrides)
    try Runner(pipeline) { events.append($0) }.run()
    return events
  }

  /// First labels of all training pairs.
  private func labels(_ run: MiniatureRun) throws -> [Float] {
    let shards = try ShardSet(folder: "\(run.workspace)/shards", split: "train")
    return try (0..<shards.pairCount).map { number in
      let pair = try shards.pair(number)
      #expect(pair.label0 + pair.label1 == 1)
      return pair.label0
    }
  }

  @Test("a model's choices replace people's, and nothing is computed twice")
  func labels() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      try writeFreshPreferenceModel("\(folder)/judge")
      _ = try self.run(run, ["label.gap=0"])
      let decided = try labels(run)
      #expect(!decided.isEmpty && Set(decided).isSubset(of: [0, 1]))
      #expect(try self.run(run, ["label.gap=0"]).contains(.upToDate(stage: "label")))

      // Another gap needs no model, only the embeddings.
      let events = try self.run(run, ["label.gap=0.999"])
      #expect(
        !events.contains { if case .advanced(let p) = $0 { p.stage == "label" } else { false } })
      #expect(try Set(labels(run)) == [0.5])
      _ = try self.run(run, ["shard.labels=people"])
      #expect(try Set(labels(run)) == [0, 0.5, 1])
    }
  }

  @Test("labels of a model need the stage that makes them")
  func missingStage() throws {
    try withTemporaryFolder { folder in
      let text = """
        { workspace: "\(folder)/run", model: "\(Self.repository)/data/tiny-sd",
          stages: { ingest: { source: "x.parquet" }, encode: {}, shard: { labels: "model" } } }
        """
      try AtomicFile.replace("\(folder)/pipeline.json5", with: Array(text.utf8))
      #expect(throws: (any Error).self) {
        try Runner(try Pipeline(path: "\(folder)/pipeline.json5", stages: stageTypes)) { _ in }
          .run()
      }
    }
  }
}
