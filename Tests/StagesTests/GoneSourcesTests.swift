import Catalog
import DataStages
import Files
import Foundation
import PipelineCore
import Shards
import Stages
import TestSupport
import Testing

/// Sources and image files that are deleted or change between two runs.
@Suite struct GoneSourcesTests {
  private func doctor(_ pipeline: DataPipeline) throws -> Doctor {
    try Doctor(limits: MachineLimits(memory: 1 << 40, freeDisk: nil), rates: nil) { _ in
      try pipeline.pipeline()
    }
  }

  @Test(
    "a finished catalog stands for a source that is deleted, for every command",
    arguments: [false, true])
  func deleted(copies: Bool) throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      pipeline.ingest["copy_images"] = .bool(copies)
      // A pattern and a folder name what was there, too.
      for source in [DataPipeline.train, "train-*.parquet", "**/*.parquet"] {
        pipeline.workspace = "workspace \(source.filter(\.isLetter))"
        pipeline.ingest["source"] = .string("\(pipeline.folder)/\(source)")
        try pipeline.run()
        let path = "\(pipeline.folder)/\(DataPipeline.train)"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
        let events = try pipeline.run()
        for stage in ["ingest", "encode", "shard"] {
          #expect(events.contains(.upToDate(stage: stage)), "\(source): \(stage)")
        }
        #expect(try pipeline.pipeline().status().allSatisfy { $0.state == .done })
        #expect(try doctor(pipeline).problems.isEmpty)
        try FileManager.default.moveItem(atPath: path + ".away", toPath: path)
      }
    }
  }

  @Test("another source that is not there is not taken for the one that was")
  func mistyped() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      try Folders.remove("\(pipeline.folder)/\(DataPipeline.train)")
      for source in ["trian.parquet", "valid*.parquet"] {
        pipeline.ingest["source"] = .string("\(pipeline.folder)/\(source)")
        #expect(failure { try pipeline.run() }?.contains("no file matches") == true, "\(source)")
      }
    }
  }

  @Test("of several files only those that are all there, or all gone, are the data that was read")
  func someGone() throws {
    try DataPipeline.with([DataPipeline.train, DataPipeline.validation]) { pipeline in
      var pipeline = pipeline
      pipeline.ingest["source"] = .string("\(pipeline.folder)/*.parquet")
      try pipeline.run()
      try Folders.remove("\(pipeline.folder)/\(DataPipeline.validation)")
      let state = try pipeline.pipeline().status().first { $0.name == "ingest" }?.state
      #expect(state == .stale)
      try Folders.remove("\(pipeline.folder)/\(DataPipeline.train)")
      #expect(try pipeline.pipeline().status().allSatisfy { $0.state == .done })
    }
  }

  @Test("images that are needed again from a source that is gone are asked for by its name")
  func neededAgain() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      try Folders.remove("\(pipeline.folder)/\(DataPipeline.train)")
      pipeline.encode["size"] = 32
      let message = failure { try pipeline.run() } ?? ""
      #expect(
        message.contains("\(DataPipeline.train): the images in it are needed"), "\(message)")
      pipeline.encode["size"] = 16
      pipeline.ingest["ties"] = "drop"
      #expect(failure { try pipeline.run() }?.contains("ingest must read") == true)
    }
  }

  /// Image files and rows that name them, eight in each of two CSV files.
  private func imageFiles(in folder: String) throws -> DataPipeline {
    for (file, name) in ["a", "b"].enumerated() {
      var csv = "prompt,chosen,rejected\n"
      for row in 8 * file..<8 * file + 8 {
        for side in 0...1 {
          try AtomicFile.replace(
            "\(folder)/\(row)-\(side).png", with: try samplePNG(2 * row + side))
        }
        csv += "a fox \(row),\(row)-0.png,\(row)-1.png\n"
      }
      try AtomicFile.replace("\(folder)/\(name).csv", with: Array(csv.utf8))
    }
    return try DataPipeline(in: folder, sources: ["*.csv"])
  }

  @Test(
    "a source of which only the images' copies are left is never read into a new catalog without a word"
  )
  func copiesAlone() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      pipeline.ingest["copy_images"] = true
      pipeline.ingest["source"] = .string("\(folder)/*.csv")
      try pipeline.run()
      let shards = try pipeline.shardBytes()
      try Folders.remove("\(folder)/a.csv")
      #expect(try pipeline.run().contains(.upToDate(stage: "ingest")))
      var changed = pipeline
      changed.ingest["ties"] = "drop"
      let message = failure { try changed.run() } ?? "accepted"
      #expect(message.contains("ingest must read \(folder)/a.csv again"), "\(message)")
      let check = RunCheck(overrides: [], limits: MachineLimits(memory: 1 << 40, freeDisk: nil)) {
        _ in try pipeline.pipeline()
      }
      let forced = failure {
        try Runner(try pipeline.pipeline(), check: check.require) { _ in }.run(forced: ["ingest"])
      }
      #expect(forced?.contains("must read") == true, "\(forced ?? "accepted")")
      // Nothing is lost, and the remedy is one.
      #expect(try pipeline.run().contains(.upToDate(stage: "ingest")))
      #expect(try pipeline.catalog().counts().pairs == 16)
      #expect(try pipeline.shardBytes() == shards)
      changed.ingest["source"] = .string("\(folder)/b.csv")
      try changed.run()
      #expect(try changed.catalog().counts().pairs == 8)
    }
  }

  @Test("a rebuild that was interrupted does not go on without a source that is gone")
  func interruptedRebuild() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      pipeline.ingest["copy_images"] = true
      try pipeline.run(through: "ingest")
      pipeline.ingest["check_images"] = "header"
      // Ended while the new catalog is made: a broken image in the second file is one reject too many.
      let good = try RegularFile(path: "\(folder)/9-0.png").readAll()
      try AtomicFile.replace("\(folder)/9-0.png", with: [])
      try AtomicFile.replace("\(folder)/10-0.png", with: [])
      #expect(throws: (any Error).self) { try pipeline.run(through: "ingest") }
      try AtomicFile.replace("\(folder)/9-0.png", with: good)
      try Folders.remove("\(folder)/a.csv")
      let message = failure { try pipeline.run(through: "ingest") } ?? "accepted"
      #expect(message.contains("ingest must read \(folder)/a.csv again"), "\(message)")
    }
  }

  @Test("files that were passed over beside the records do not take their place")
  func passedOver() throws {
    try withTemporaryFolder { folder in
      try Folders.make("\(folder)/data")
      _ = try imageFiles(in: "\(folder)/data")
      try AtomicFile.replace("\(folder)/data/prompts.txt", with: Array("a cat\n".utf8))
      var whole = try DataPipeline(in: folder, sources: ["data"])
      try whole.run()
      for name in ["a", "b"] { try Folders.remove("\(folder)/data/\(name).csv") }
      let message = failure { try whole.run() } ?? "accepted"
      #expect(message.contains("only \(folder)/data/prompts.txt is left"), "\(message)")
      whole.ingest["source"] = .array(
        ["a", "b"].map { .string("\(folder)/data/\($0).csv") })
      #expect(try whole.run().contains(.upToDate(stage: "ingest")))
    }
  }

  @Test("a name with brackets does not become a pattern when its file is gone")
  func brackets() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      let manager = FileManager.default
      try manager.moveItem(atPath: "\(folder)/a.csv", toPath: "\(folder)/c[1].csv")
      pipeline.ingest["source"] = .string("\(folder)/c[1].csv")
      try pipeline.run()
      try manager.moveItem(atPath: "\(folder)/b.csv", toPath: "\(folder)/c1.csv")
      try Folders.remove("\(folder)/c[1].csv")
      #expect(try pipeline.run().contains(.upToDate(stage: "ingest")))
    }
  }

  @Test("parts of a source that is gone are not left out of a merge")
  func parts() throws {
    try withTemporaryFolder { folder in
      let pipeline = try imageFiles(in: folder)
      for index in 1...2 {
        try Runner(try pipeline.pipeline()) { _ in }.runPart(
          Partition(index: index, of: 2), of: "ingest")
      }
      try Folders.remove("\(folder)/a.csv")
      let message = failure {
        try Runner(try pipeline.pipeline()) { _ in }
          .run(through: "ingest", merge: Runner.Merge(scratch: nil))
      }
      // Nor does an ordinary run remove them.
      #expect(failure { try pipeline.run(through: "ingest") }?.contains("hold 1 item") == true)
      #expect(
        message?.contains("hold 1 item of sources that were removed") == true,
        "\(message ?? "accepted")")
    }
  }

  @Test("an image file that is gone is named with what to do, which --force ingest then does")
  func missingImage() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      try pipeline.run(through: "ingest")
      let bytes = try RegularFile(path: "\(folder)/3-0.png").readAll()
      try Folders.remove("\(folder)/3-0.png")
      let message = failure { try pipeline.run(through: "encode") } ?? "accepted"
      #expect(
        message.contains("\(folder)/3-0.png: the image was ingested, but does not exist any more"),
        "\(message)")
      pipeline.ingest["max_reject_fraction"] = 0.1
      try pipeline.run(forced: ["ingest"])
      #expect(try pipeline.catalog().counts().pairs == 15)
      try AtomicFile.replace("\(folder)/3-0.png", with: bytes)
      try pipeline.run(forced: ["ingest"])
      #expect(try pipeline.catalog().counts().pairs == 16)
      #expect(
        try pipeline.shards("train").pairCount + pipeline.shards("validation").pairCount == 16)
    }
  }

  @Test("an image file that is gone is not needed to repair the encodings of others")
  func repair() throws {
    try withTemporaryFolder { folder in
      let pipeline = try imageFiles(in: folder)
      try pipeline.run(through: "encode")
      // Whole blocks are repaired; what they have already needs no file.
      let cache = try Database(path: "\(pipeline.workspacePath)/cache.sqlite")
      try cache.run("DELETE FROM entry WHERE rowid = (SELECT max(rowid) FROM entry)")
      try Folders.remove("\(folder)/1-1.png")
      try pipeline.run(through: "encode", forced: ["encode"])
      #expect(try pipeline.catalog().counts().pairs == 16)
    }
  }

  @Test("an image file that changed is named, and is not encoded")
  func changedImage() throws {
    try withTemporaryFolder { folder in
      let pipeline = try imageFiles(in: folder)
      try pipeline.run(through: "ingest")
      try AtomicFile.replace("\(folder)/3-0.png", with: try samplePNG(50))
      let message = failure { try pipeline.run(through: "encode") } ?? "accepted"
      #expect(
        message.contains("\(folder)/3-0.png: the image differs from the one that was ingested"),
        "\(message)")
    }
  }

  @Test("what encode has rejected stays with its rows when a source gets another name")
  func renamed() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      pipeline.ingest["check_images"] = "header"
      pipeline.ingest["source"] = .string("\(folder)/*.csv")
      pipeline.encode["max_reject_fraction"] = 1
      let good = try RegularFile(path: "\(folder)/12-0.png").readAll()
      try AtomicFile.replace("\(folder)/12-0.png", with: Array(good.prefix(good.count - 30)))
      try pipeline.run()
      func rejections() throws -> [String] {
        try pipeline.catalog().database.rows("SELECT file || ':' || row FROM reject") { try $0[0] }
      }
      #expect(try rejections() == ["\(folder)/b.csv:4"])
      // Now the last one by its path.
      try FileManager.default.moveItem(atPath: "\(folder)/a.csv", toPath: "\(folder)/z.csv")
      try pipeline.run()
      #expect(try rejections() == ["\(folder)/b.csv:4"])
    }
  }

  @Test("images that were missing when a run failed are looked for again when they are back")
  func imagesAreBack() throws {
    try withTemporaryFolder { folder in
      let pipeline = try imageFiles(in: folder)
      let names = ["1-0", "1-1", "2-0"].map { "\(folder)/\($0).png" }
      for name in names { try FileManager.default.moveItem(atPath: name, toPath: name + ".away") }
      #expect(failure { try pipeline.run(through: "ingest") }?.contains("were rejected") == true)
      for name in names { try FileManager.default.moveItem(atPath: name + ".away", toPath: name) }
      try pipeline.run(through: "ingest")
      #expect(try pipeline.catalog().counts().pairs == 16)
      // A forced run that failed, too.
      for name in names { try FileManager.default.moveItem(atPath: name, toPath: name + ".away") }
      #expect(throws: (any Error).self) { try pipeline.run(through: "ingest", forced: ["ingest"]) }
      for name in names { try FileManager.default.moveItem(atPath: name + ".away", toPath: name) }
      try pipeline.run(through: "ingest", forced: ["ingest"])
      #expect(try pipeline.catalog().counts().pairs == 16)
    }
  }

  @Test("images that are left in the folder of records that are gone do not become data")
  func imagesLeft() throws {
    try withTemporaryFolder { folder in
      try Folders.make("\(folder)/data/images")
      var csv = "prompt,chosen,rejected\n"
      for row in 0..<4 {
        for side in 0...1 {
          try AtomicFile.replace(
            "\(folder)/data/images/\(row)\(side).png", with: try samplePNG(2 * row + side))
        }
        csv += "fox \(row),images/\(row)0.png,images/\(row)1.png\n"
      }
      try AtomicFile.replace("\(folder)/data/train.csv", with: Array(csv.utf8))
      var pipeline = try DataPipeline(in: folder, sources: ["data"])
      pipeline.shard["validation_fraction"] = 0.5
      try pipeline.run()
      try Folders.remove("\(folder)/data/train.csv")
      let message = failure { try pipeline.run() } ?? "accepted"
      #expect(message.contains("ingest.source=\(folder)/data/train.csv;"), "\(message)")
      pipeline.ingest["source"] = .string("\(folder)/data/train.csv")
      #expect(try pipeline.run().contains(.upToDate(stage: "ingest")))
    }
  }
}
