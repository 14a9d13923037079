import Catalog
import Files
import Foundation
import PipelineCore
import Shards
import TestSupport
import Testing

/// The cost of changing sources, files or settings: no more than necessary.
@Suite struct ReplacedResultsTests {
  private let manager = FileManager.default

  private func upToDate(_ events: [RunEvent]) -> [String] {
    events.compactMap { if case .upToDate(let stage) = $0 { stage } else { nil } }
  }

  /// Changes one bit in the middle of a file and keeps its time of modification.
  ///
  /// - Parameters:
  ///   - place: where, as a share of the file
  ///   - offset: instead
  private func flipBit(of path: String, at place: Double = 0.5, offset: Int? = nil) throws {
    let time = try manager.attributesOfItem(atPath: path)[.modificationDate]
    var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    bytes[offset ?? Int(Double(bytes.count - 1) * place)] ^= 1
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.write(contentsOf: Data(bytes))
    try handle.close()
    try manager.setAttributes([.modificationDate: time as Any], ofItemAtPath: path)
  }

  private func offset(of text: String, in path: String) throws -> Int {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try #require(data.range(of: Data(text.utf8))).lowerBound
  }

  @Test(
    "a source that is touched or copied over itself changes nothing; one that moved, nothing else")
  func sources() throws {
    try DataPipeline.with([DataPipeline.train, "prompts.json"]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      let all = ["ingest", "encode", "shard"]
      let source = "\(pipeline.folder)/\(DataPipeline.train)"
      let bytes = try RegularFile(path: source).readAll()
      try AtomicFile.replace(source, with: bytes)
      try manager.setAttributes([.modificationDate: Date.distantPast], ofItemAtPath: source)
      #expect(upToDate(try pipeline.run()) == all)
      pipeline.ingest["source"] = [
        .string("\(pipeline.folder)/./\(DataPipeline.train)"),
        .string("\(pipeline.folder)//prompts.json"),
      ]
      #expect(upToDate(try pipeline.run()) == all)

      // Elsewhere, and in another order.
      let (first, last) = ("\(pipeline.folder)/a", "\(pipeline.folder)/z")
      for (name, folder) in [(DataPipeline.train, first), ("prompts.json", last)] {
        try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try manager.moveItem(atPath: "\(pipeline.folder)/\(name)", toPath: "\(folder)/\(name)")
      }
      pipeline.ingest["source"] = [
        .string("\(first)/\(DataPipeline.train)"), .string("\(last)/prompts.json"),
      ]
      #expect(upToDate(try pipeline.run()) == ["encode", "shard"])
      // The catalog knows where its images lie now.
      pipeline.encode["size"] = 32
      #expect(upToDate(try pipeline.run(through: "encode")) == ["ingest"])

      // A model that lies elsewhere is the same model, and is found there.
      pipeline.encode["size"] = 16
      try pipeline.run()
      let model = "\(pipeline.folder)/model"
      try manager.copyItem(atPath: pipeline.model, toPath: model)
      pipeline.model = model
      #expect(upToDate(try pipeline.run()) == all)
      pipeline.shard["shard_size_mb"] = 0.006
      #expect(upToDate(try pipeline.run()) == ["ingest", "encode"])
    }
  }

  @Test(
    "files that share prompts may change places: the shards stay, and made anew they are the same")
  func reordered() throws {
    try withTemporaryFolder { folder in
      for number in 0..<3 {
        let rows = try (0..<4).map { row in
          let name = "\(number)-\(row)"
          return Row(
            first: ("a\(name)", try samplePNG(8 * number + row)),
            second: ("b\(name)", try samplePNG(100 + 8 * number + row)))
        }
        try write(rows, to: "\(folder)/train-\(number).parquet")
      }
      var pipeline = try DataPipeline(in: folder, sources: ["train-*.parquet"])
      try pipeline.run()
      let expected = try pipeline.shardBytes()
      for (number, name) in [(0, "train-9"), (2, "train-0"), (1, "train-5")] {
        try manager.moveItem(
          atPath: "\(folder)/train-\(number).parquet", toPath: "\(folder)/\(name).parquet")
      }
      #expect(upToDate(try pipeline.run()) == ["encode", "shard"])
      pipeline.workspace = "other"
      try pipeline.run()
      #expect(try pipeline.shardBytes() == expected)
    }
  }

  @Test("what later stages rejected stays rejected when the catalog comes out the same")
  func laterRejections() throws {
    try withTemporaryFolder { folder in
      var rows = try (0..<4).map {
        Row(first: ("a\($0)", try samplePNG(2 * $0)), second: ("b\($0)", try samplePNG(2 * $0 + 1)))
      }
      rows[2].second.bytes = Array(try samplePNG(0).dropLast(30))
      try write(rows, to: "\(folder)/train.parquet")
      var pipeline = try DataPipeline(in: folder, sources: ["train.parquet"])
      pipeline.ingest["check_images"] = "header"
      try pipeline.run(through: "encode")
      try manager.moveItem(atPath: "\(folder)/train.parquet", toPath: "\(folder)/train-2.parquet")
      pipeline.ingest["source"] = .string("\(folder)/train-2.parquet")
      #expect(upToDate(try pipeline.run(through: "encode")) == ["encode"])
      let catalog = try pipeline.catalog()
      #expect(try catalog.rejectionCountsByCode(stage: "encode") == ["unreadable-image": 1])
      #expect(try catalog.counts().pairs == 3)
      #expect(try catalog.countsBySource().allSatisfy { $0.isBalanced })
      try catalog.checkDigests()
    }
  }

  @Test(
    "a flipped bit in any output of the data stages is found, and made good",
    arguments: [
      "catalog.sqlite", "encodings.json", "shards/index.json",
      "shards/train-00000-of-00001.safetensors",
    ])
  func flipped(name: String) throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      try pipeline.run()
      let expected = try pipeline.shardBytes()
      let path = "\(pipeline.workspacePath)/\(name)"
      let caption = try #require(try pipeline.catalog().prompts().first?.text)
      for place in [0.31, 0.72] {
        // In a database many bits mean nothing.
        let offset = name == "catalog.sqlite" ? try self.offset(of: caption, in: path) : nil
        try flipBit(of: path, at: place, offset: offset)
        let problems = try pipeline.pipeline().verify().flatMap(\.problems)
        #expect(problems.contains { $0.contains(path) }, "\(problems)")
        try pipeline.run()
        #expect(try pipeline.pipeline().verify().flatMap(\.problems) == [])
        #expect(try pipeline.shardBytes() == expected)
      }
    }
  }

  @Test(
    "verify finds a damaged cache entry; gc removes entries of another size, and keeps the rest")
  func cache() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      #expect(try pipeline.pipeline().collectGarbage(isDry: true).isEmpty)
      pipeline.encode["size"] = 32
      try pipeline.run()
      let garbage = try pipeline.pipeline().collectGarbage(isDry: false)
      #expect(garbage.count == 1)
      #expect(garbage.first?.what.contains("16x16") == true)
      #expect(garbage.first?.byteCount == 30 * 2 * 4 * 8 * 8)
      let path = "\(pipeline.workspacePath)/cache.sqlite"
      #expect(try CacheDatabase(path: path, access: .readOnly).usage().count == 2)
      #expect(upToDate(try pipeline.run()).count == 3)

      try Database(path: path).execute("UPDATE entry SET digest = 'x' || digest WHERE id = 40")
      let stages = try pipeline.pipeline().verify()
      #expect(stages.filter { !$0.problems.isEmpty }.map(\.stage) == ["encode"])
    }
  }

  /// Ways to damage a cache.
  enum CacheDamage: CaseIterable {
    case digest
    case length
    case lost
    case overwritten

    func apply(to path: String) throws {
      switch self {
      case .digest:
        try Database(path: path).execute("UPDATE entry SET digest = 'x' || digest WHERE id % 9 = 1")
      case .length:
        try Database(path: path).execute("UPDATE entry SET value = x'00' WHERE id % 9 = 2")
      case .lost: try Database(path: path).execute("DELETE FROM entry WHERE id % 9 = 3")
      case .overwritten:
        for ending in ["-wal", "-shm"] {
          try? FileManager.default.removeItem(atPath: path + ending)
        }
        var bytes = try RegularFile(path: path).readAll()
        bytes.replaceSubrange(0..<4096, with: [UInt8](repeating: 0x5a, count: 4096))
        try AtomicFile.replace(path, with: bytes)
      }
    }
  }

  @Test(
    "a run mends a damaged cache by itself where it is read, and what verify advises mends it, too",
    arguments: CacheDamage.allCases)
  func damagedCache(damage: CacheDamage) throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      let expected = try pipeline.shardBytes()
      let path = "\(pipeline.workspacePath)/cache.sqlite"
      let size = pipeline.shard["shard_size_mb"]

      try damage.apply(to: path)
      let found = try pipeline.pipeline().verify().filter { !$0.problems.isEmpty }
      #expect(!found.isEmpty)
      for stage in found {
        #expect(stage.remedy?.hasSuffix("--force encode") == true, "\(stage.remedy ?? "none")")
      }
      #expect(upToDate(try pipeline.run(forced: ["encode"])) == ["ingest", "shard"])
      #expect(try pipeline.pipeline().verify().flatMap(\.problems) == [])

      try damage.apply(to: path)
      pipeline.shard["shard_size_mb"] = 0.006
      try pipeline.run()
      pipeline.shard["shard_size_mb"] = size
      try pipeline.run()
      #expect(try pipeline.shardBytes() == expected)
      #expect(try pipeline.pipeline().verify().flatMap(\.problems) == [])
    }
  }

  @Test("lost and damaged results of training are made again from checkpoints, with the same bytes")
  func training() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      try run.run()
      let expected = try run.results()
      let loraPath = "\(run.workspace)/spo/pytorch_lora_weights.safetensors"
      try manager.removeItem(atPath: "\(run.workspace)/preference/model")
      try manager.removeItem(atPath: "\(run.workspace)/preference/metrics.jsonl")
      try flipBit(of: loraPath)
      let webui = "\(run.workspace)/export/webui/spo.safetensors"
      let whole = try RegularFile(path: webui).readAll()
      try AtomicFile.replace(webui, with: Array(whole.dropLast(100)))
      let states = try run.status().map(\.state)
      #expect(states == [.done, .done, .done, .missing, .damaged, .damaged, .stale])

      let events = try run.run()
      #expect(upToDate(events) == ["ingest", "encode", "shard", "report"])
      #expect(!Folders.exists("\(run.workspace)/preference/pictures"))
      #expect(try RegularFile(path: webui).readAll() == whole)
      let found = try run.results()
      for (name, bytes) in expected { #expect(found[name] == bytes, "\(name)") }

      // What they are made from is checked, too.
      try manager.removeItem(atPath: "\(run.workspace)/preference/model")
      let best = "\(run.workspace)/preference/best.safetensors"
      let kept = try RegularFile(path: best).readAll()
      try flipBit(of: best)
      let error = #expect(throws: PipelineError.self) { try run.run() }
      #expect(error?.description.hasPrefix("\(best): damaged") == true)
      try AtomicFile.replace(best, with: kept)
      try run.run()
      #expect(try run.results() == expected)

      // With the checkpoints gone the results stay.
      let spare = try run.collectGarbage()
      #expect(spare.contains { $0.what.hasSuffix("preference/checkpoints") })
      #expect(!Folders.exists("\(run.workspace)/spo/checkpoints"))
      #expect(try run.status().map(\.state) == [StageState](repeating: .done, count: 7))

      // What only tells how they came about is not worth training again.
      try manager.removeItem(atPath: "\(run.workspace)/preference/metrics.jsonl")
      try manager.removeItem(atPath: "\(run.workspace)/preference/evaluation.json")
      try manager.removeItem(atPath: "\(run.workspace)/spo/warnings.json")
      let lost = try run.status()
      #expect(lost.map(\.state) == [.done, .done, .done, .missing, .missing, .done, .done])
      #expect(lost[3].reasons.allSatisfy { $0.contains("--force preference") })
      let advice = try run.verify().compactMap(\.remedy)
      #expect(advice.count == 2 && advice.allSatisfy { $0.contains("or leave it") }, "\(advice)")
      #expect(upToDate(try run.run()).count == 7)
      #expect(upToDate(try run.run(forced: ["report"])).count == 6)
      let left = try run.results(
        without: [
          "preference/metrics.jsonl", "preference/evaluation.json", "spo/warnings.json",
        ])
      for (name, bytes) in left { #expect(expected[name] == bytes, "\(name)") }
    }
  }
}
