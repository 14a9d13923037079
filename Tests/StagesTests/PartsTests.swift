import Catalog
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Parts of the data stages, and that a merge of them gives the bytes of one run.
@Suite(.serialized) struct PartsTests {
  @Test(
    "catalog, cache and shards are those of one run, however many parts", arguments: [1, 3, 64])
  func merges(count: Int) throws {
    try withWorkspaces { whole, parts throws in
      for stage in ["ingest", "encode", "shard"] {
        for index in (1...count).reversed() {
          try parts.expectPart(index, of: count, stage)
        }
        try parts.merge(stage)
      }
      try parts.expectSame(as: whole)
      #expect(!Folders.exists(parts.workspacePath + "/parts"))
    }
  }

  @Test("parts of two divisions, a run that computes the rest, and databases built elsewhere")
  func mixtures() throws {
    try withWorkspaces { whole, parts throws in
      for (index, count) in [(1, 2), (2, 3), (3, 3), (1, 3)] {
        try parts.expectPart(index, of: count, "ingest")
      }
      try parts.merge("ingest", scratch: parts.folder + "/scratch")
      #expect(try Folders.names(in: parts.folder + "/scratch").isEmpty)
      try parts.expectPart(2, of: 3, "encode")
      try parts.run(through: "encode")
      try parts.expectPart(1, of: 2, "shard")
      try parts.run()
      try parts.expectSame(as: whole)
    }
  }

  @Test("the cache too is built elsewhere and moved, beside what it holds already")
  func scratch() throws {
    try withWorkspaces { whole, parts throws in
      var other = parts
      other.encode["size"] = 24
      try other.run(through: "encode")
      for index in 1...2 { try parts.expectPart(index, of: 2, "encode") }
      try parts.merge("encode", scratch: parts.folder + "/scratch")
      try parts.run()
      #expect(try parts.shardBytes() == whole.shardBytes())
      let header = try RegularFile(path: parts.workspacePath + "/cache.sqlite").read(
        at: 18, count: 2)
      // Not marked as having a log.
      #expect(header == [1, 1])
    }
  }

  @Test("labels of a model are those of one run, taken from parts in any order")
  func labels() throws {
    try withTemporaryFolder { folder throws in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      try writeFreshPreferenceModel("\(folder)/judge")
      var whole = try DataPipeline(in: folder, sources: ["*.parquet"])
      whole.model = MiniatureRun.tinyModel
      whole.encode = [:]
      whole.label = ["scorer": .string("\(folder)/judge"), "gap": 0, "batch": 4]
      whole.shard = ["labels": "model"]
      var parts = whole
      parts.workspace = "parts"
      try whole.run()
      try parts.run(through: "encode")
      for index in [3, 1] { try parts.expectPart(index, of: 3, "label") }
      let error = #expect(throws: PartError.self) { try parts.merge("label") }
      #expect(error?.description.contains("--partition auto/3 and --array=2") == true)
      try parts.expectPart(2, of: 3, "label")
      try parts.merge("label")
      try parts.run()
      try parts.expectSame(as: whole)
      #expect(try parts.labels() == whole.labels())
    }
  }

  @Test("an image that cannot be decoded is rejected once, also after other settings rejected it")
  func rejections() throws {
    try withTemporaryFolder { folder throws in
      let rows = try (0..<6).map { number in
        let first = try samplePNG(number)
        return Row(
          first: ("a\(number)", number == 3 ? Array(first.prefix(first.count / 2)) : first),
          second: ("b\(number)", try samplePNG(100 + number)))
      }
      try write(rows, to: "\(folder)/train-00000-of-00001-0f1e2d3c4b5a6978.parquet")
      var whole = try DataPipeline(in: folder, sources: ["*.parquet"])
      whole.ingest["check_images"] = "header"
      whole.encode["max_reject_fraction"] = 0.5
      var parts = whole
      parts.workspace = "parts"
      try whole.run()
      #expect(try whole.catalog().rejectionCounts().map(\.code) == ["unreadable-image"])
      var before = parts
      before.encode["size"] = 24
      try before.run()
      for index in 1...3 { try parts.expectPart(index, of: 3, "encode") }
      try parts.merge("encode")
      try parts.run()
      #expect(try parts.shardBytes() == whole.shardBytes())
      #expect(try parts.catalog().rejectionCounts().map(\.count) == [1])
    }
  }

  @Test(
    "parts made elsewhere, in a copy of the workspace and with one of the model, are merged here")
  func copies() throws {
    try withWorkspaces { whole, parts throws in
      try parts.run(through: "ingest")
      let manager = FileManager.default
      var copy = parts
      copy.workspace = "elsewhere"
      copy.model = parts.folder + "/model"
      try manager.copyItem(atPath: parts.workspacePath, toPath: copy.workspacePath)
      try manager.copyItem(atPath: parts.model, toPath: copy.model)
      for index in 1...2 { try copy.expectPart(index, of: 2, "encode") }
      try manager.moveItem(
        atPath: copy.workspacePath + "/parts", toPath: parts.workspacePath + "/parts")
      try parts.merge("encode")
      try parts.run()
      try parts.expectSame(as: whole)
    }
  }

  @Test("sources with the same bytes in other folders, or twice, are different items")
  func twins() throws {
    try withTemporaryFolder { folder throws in
      let lines = (0..<4).map {
        #"{"caption": "prompt \#($0)", "jpg_0": "\#($0).png", "jpg_1": "\#($0 + 1).png","#
          + #" "label_0": 1, "label_1": 0}"#
      }
      for (number, name) in ["first", "second"].enumerated() {
        try Folders.make("\(folder)/\(name)")
        for image in 0..<5 {
          try AtomicFile.replace(
            "\(folder)/\(name)/\(image).png", with: try samplePNG(10 * number + image))
        }
        try AtomicFile.replace(
          "\(folder)/\(name)/list.jsonl", with: Array(lines.joined(separator: "\n").utf8))
      }
      for limit in [JSON.null, 6] as [JSON] {
        var whole = try DataPipeline(
          in: folder, sources: ["first/list.jsonl", "second/list.jsonl"])
        (whole.workspace, whole.ingest["limit"]) = ("whole-\(limit.text())", limit)
        var parts = whole
        parts.workspace = "parts-\(limit.text())"
        try whole.run(through: "ingest")
        for index in 1...2 { try parts.expectPart(index, of: 2, "ingest") }
        try parts.merge("ingest")
        #expect(try parts.dump("catalog") == whole.dump("catalog"))
        #expect(try whole.catalog().counts().pairs == (limit == 6 ? 6 : 8))
      }
    }
  }

  @Test("an output that is not of its item is refused")
  func foreignOutputs() throws {
    try withWorkspaces { _, parts throws in
      try parts.run(through: "encode")
      for index in 1...2 { try parts.expectPart(index, of: 2, "shard") }
      let folder = parts.workspacePath + "/parts/shard"
      let inner = try #require(try Folders.names(in: folder).first { !$0.hasSuffix(".part") })
      let shard = try #require(try Folders.names(in: "\(folder)/\(inner)").first)
      let path = "\(folder)/\(inner)/\(shard)"
      var bytes = try RegularFile(path: path).readAll()
      bytes[bytes.count / 2] ^= 1
      try AtomicFile.replace(path, with: bytes)
      let error = #expect(throws: PartError.self) { try parts.merge("shard") }
      #expect(error?.description.contains(path) == true && error?.kind == .input)
    }
  }

  @Test("a complete part that was damaged is not taken for done when it is asked for again")
  func damagedPart() throws {
    try withWorkspaces { _, parts throws in
      try parts.expectPart(1, of: 2, "ingest")
      let path = parts.workspacePath + "/parts/ingest/1-of-2.part"
      var bytes = try RegularFile(path: path).readAll()
      bytes[bytes.count / 3] ^= 1
      try AtomicFile.replace(path, with: bytes)
      let error = #expect(throws: PartError.self) { try parts.expectPart(1, of: 2, "ingest") }
      #expect(error?.description.contains("\(path): damaged at byte") == true)
    }
  }

  @Test("a database whose log is not written back is not read as if nobody wrote")
  func openLog() throws {
    try withWorkspaces { _, parts throws in
      try parts.run(through: "ingest")
      let log = parts.workspacePath + "/catalog.sqlite-wal"
      try AtomicFile.replace(log, with: [1, 2, 3])
      let error = #expect(throws: CatalogError.openLog(path: log)) {
        try parts.expectPart(1, of: 2, "encode")
      }
      #expect(error?.kind == .busy)
    }
  }

  @Test("status counts parts and says which are missing")
  func status() throws {
    try withWorkspaces { _, parts throws in
      for index in [1, 3, 4] { try parts.expectPart(index, of: 5, "ingest") }
      var status = try #require(try parts.pipeline().status().first?.parts)
      #expect(status.count == 5 && status.complete == [1, 3, 4] && status.missing == [2, 5])
      #expect(status.again == "2,5" && !status.isComplete)
      #expect(status.lines.last?.hasSuffix("missing: --array=2,5") == true)
      for index in [2, 5] { try parts.expectPart(index, of: 5, "ingest") }
      status = try #require(try parts.pipeline().status().first?.parts)
      #expect(status.isComplete && status.again.isEmpty && status.itemsDone == status.itemsTotal)
      try parts.merge("ingest")
      #expect(try parts.pipeline().status().first?.parts == nil)
      // What a job that came too late has left.
      try Folders.make(parts.workspacePath + "/parts/ingest")
      try AtomicFile.replace(parts.workspacePath + "/parts/ingest/1-of-5.part", with: [])
      #expect(try parts.pipeline().collectGarbage(isDry: false).count == 1)
      #expect(!Folders.exists(parts.workspacePath + "/parts"))
    }
  }

  /// A workspace in which all was done in one run, and one for parts.
  private func withWorkspaces(
    _ body: (_ whole: DataPipeline, _ parts: DataPipeline) throws -> Void
  ) throws {
    try DataPipeline.with([DataPipeline.train, DataPipeline.validation]) { pipeline throws in
      var parts = pipeline
      parts.workspace = "parts"
      try pipeline.run()
      try body(pipeline, parts)
    }
  }
}

extension DataPipeline {
  /// Makes a part, and expects that nothing else changes in the workspace.
  fileprivate func expectPart(_ index: Int, of count: Int, _ stage: String) throws {
    let before = try files()
    try Runner(try pipeline()) { _ in }.runPart(Partition(index: index, of: count), of: stage)
    let changed = Set(try files()).symmetricDifference(before)
    #expect(changed.allSatisfy { $0.hasPrefix("parts/\(stage)/") }, "\(changed)")
  }

  fileprivate func merge(_ stage: String, scratch: String? = nil) throws {
    try Runner(try pipeline()) { _ in }
      .run(through: stage, merge: Runner.Merge(scratch: scratch))
  }

  /// All files of the workspace with what a change of one would change.
  private func files() throws -> [String] {
    let manager = FileManager.default
    let names = manager.enumerator(atPath: workspacePath)?.compactMap { $0 as? String } ?? []
    return try names.compactMap { name in
      let attributes = try manager.attributesOfItem(atPath: "\(workspacePath)/\(name)")
      guard attributes[.type] as? FileAttributeType != .typeDirectory else { return nil }
      return "\(name) \(attributes[.size] ?? 0) \(attributes[.modificationDate] ?? 0)"
    }
  }

  fileprivate func expectSame(as whole: DataPipeline) throws {
    #expect(try shardBytes() == whole.shardBytes())
    for name in ["catalog", "cache"] {
      let (mine, other) = (try dump(name), try whole.dump(name))
      #expect(mine == other, "\(name)")
      #expect(!mine.isEmpty)
    }
  }

  fileprivate func labels() throws -> [UInt8] {
    try RegularFile(path: "\(workspacePath)/labels.json").readAll()
  }

  /// All rows of all tables of a database.
  fileprivate func dump(_ name: String) throws -> [String] {
    let database = try Database(path: "\(workspacePath)/\(name).sqlite", access: .readOnly)
    let tables = try database.rows(
      "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ) { try $0[0] as String }
    return try tables.flatMap { table in
      let columns = try database.rows("SELECT name FROM pragma_table_info(?)", table) {
        "quote(\(try $0[0] as String))"
      }
      return try database.rows("SELECT \(columns.joined(separator: " || ',' || ")) FROM \(table)") {
        "\(table): \(try $0[0] as String)"
      }
    }
  }
}
