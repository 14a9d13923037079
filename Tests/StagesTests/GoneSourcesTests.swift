import Catalog
import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Sources and image files that are deleted or change between two runs.
@Suite struct GoneSourcesTests {
  private func doctor(_ pipeline: DataPipeline) throws -> Doctor {
    try Doctor(limits: MachineLimits(memory: 1 << 40, freeDisk: nil), rates: .assumed) { _ in
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
      #expect(failure { try pipeline.run() }?.contains("no file matches") == true)
    }
  }

  /// Eight rows of image files, each in a file of its own.
  private func imageFiles(in folder: String) throws -> DataPipeline {
    var csv = "prompt,chosen,rejected\n"
    for row in 0..<8 {
      for side in ["a", "b"] {
        try AtomicFile.replace(
          "\(folder)/\(row)\(side).png", with: try picture(2 * row + (side == "a" ? 0 : 1)))
      }
      csv += "a fox \(row),\(row)a.png,\(row)b.png\n"
    }
    try AtomicFile.replace("\(folder)/train.csv", with: Array(csv.utf8))
    return try DataPipeline(in: folder, sources: ["train.csv"])
  }

  @Test("an image file that is gone costs its pair, as far as max_reject_fraction allows")
  func missingImage() throws {
    try withTemporaryFolder { folder in
      var pipeline = try imageFiles(in: folder)
      try pipeline.run(through: "ingest")
      try Folders.remove("\(folder)/3a.png")
      try Folders.remove("\(folder)/5b.png")
      let message = failure { try pipeline.run(through: "encode") } ?? "accepted"
      #expect(
        message.contains("there is no file \(folder)/") && message.contains("max_reject_fraction"),
        "\(message)")
      pipeline.encode["max_reject_fraction"] = 0.5
      try pipeline.run(through: "encode")
      #expect(
        try pipeline.catalog().rejectCountsByCode(stage: "encode") == ["missing-image": 2])
      #expect(try pipeline.catalog().counts().pairs == 6)
    }
  }

  @Test("an image file that changed is named, and is not encoded")
  func changedImage() throws {
    try withTemporaryFolder { folder in
      let pipeline = try imageFiles(in: folder)
      try pipeline.run(through: "ingest")
      try AtomicFile.replace("\(folder)/3a.png", with: try picture(20))
      let message = failure { try pipeline.run(through: "encode") } ?? "accepted"
      #expect(
        message.contains("\(folder)/3a.png: the image differs from the one that was ingested"),
        "\(message)")
    }
  }
}
