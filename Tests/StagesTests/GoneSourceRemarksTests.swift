import Catalog
import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Messages about sources that are gone, and what remains usable without them.
@Suite struct GoneSourceRemarksTests {
  /// Rows with images next to them, in `data/NAME.csv` for each name.
  private func rows(_ names: [String], in folder: String) throws -> DataPipeline {
    try Folders.make("\(folder)/data")
    for (file, name) in names.enumerated() {
      var csv = "prompt,chosen,rejected\n"
      for row in 8 * file..<8 * file + 8 {
        for side in 0...1 {
          try AtomicFile.replace(
            "\(folder)/data/\(row)-\(side).png", with: try samplePNG(2 * row + side))
        }
        csv += "a fox \(row),\(row)-0.png,\(row)-1.png\n"
      }
      try AtomicFile.replace("\(folder)/data/\(name).csv", with: Array(csv.utf8))
    }
    return try DataPipeline(in: folder, sources: ["data/*.csv"])
  }

  private func ingest(_ pipeline: DataPipeline) throws -> StageStatus {
    try #require(try pipeline.pipeline().status().first { $0.name == "ingest" })
  }

  private func lines(_ events: [RunEvent]) -> [String] {
    events.compactMap { if case .said(_, let text) = $0 { text } else { nil } }
  }

  @Test(
    "the finished catalog stands for a source behind a link, whichever of the two is gone",
    arguments: ["data/link.csv", "folder/a.csv", "folder", "folder/*.csv"])
  func links(source: String) throws {
    let manager = FileManager.default
    for removed in ["link", "target"] {
      try withTemporaryFolder { folder in
        var pipeline = try rows(["a"], in: folder)
        try manager.moveItem(atPath: "\(folder)/data/a.csv", toPath: "\(folder)/data/real.csv")
        try Folders.make("\(folder)/folder")
        let link = source == "data/link.csv" ? "\(folder)/data/link.csv" : "\(folder)/folder/a.csv"
        try manager.createSymbolicLink(
          atPath: link, withDestinationPath: "\(folder)/data/real.csv")
        pipeline.ingest["source"] = .string("\(folder)/\(source)")
        pipeline.ingest["image_root"] = .string("\(folder)/data")
        try pipeline.run()
        try manager.removeItem(atPath: removed == "link" ? link : "\(folder)/data/real.csv")
        let events = try pipeline.run()
        #expect(events.contains(.upToDate(stage: "ingest")), "\(source) without its \(removed)")
        #expect(try pipeline.pipeline().status().allSatisfy { $0.state == .done })
      }
    }
  }

  @Test("status and the run say of a finished catalog that its source is gone")
  func said() throws {
    try withTemporaryFolder { folder in
      let pipeline = try rows(["a", "b"], in: folder)
      try pipeline.run()
      #expect(try ingest(pipeline).reasons.isEmpty)
      for name in ["a", "b"] { try Folders.remove("\(folder)/data/\(name).csv") }
      let line =
        "\(folder)/data/a.csv and 1 more: does not exist any more; the finished result is used instead"
      #expect(try ingest(pipeline).reasons == [line])
      #expect(lines(try pipeline.run()).contains(line))
    }
  }

  @Test("before a new catalog is made without rows whose source is gone, doctor and the run say so")
  func leftOut() throws {
    try withTemporaryFolder { folder in
      var pipeline = try rows(["a", "b"], in: folder)
      pipeline.ingest["copy_images"] = true
      try pipeline.run()
      try Folders.remove("\(folder)/data/a.csv")
      pipeline.ingest["copy_images"] = false
      let line =
        "\(folder)/data/a.csv does not exist any more: its 8 rows will not be in the new catalog; to keep "
        + "them, restore it, or go on with ingest.copy_images=true"
      let doctor = try Doctor(
        limits: MachineLimits(memory: 1 << 40, freeDisk: nil), rates: nil
      ) { _ in try pipeline.pipeline() }
      #expect(doctor.notes.contains(line), "\(doctor.notes)")
      #expect(lines(try pipeline.run(through: "ingest")).contains("warning: \(line)"))
      #expect(try pipeline.catalog().counts().pairs == 8)
      // Once it is made, there is nothing left to say.
      let again = lines(try pipeline.run(through: "ingest", forced: ["ingest"]))
      #expect(!again.contains { $0.contains("does not exist") }, "\(again)")
    }
  }

  @Test(
    "a forced rebuild that cannot go on leaves the finished catalog, and says how to begin again")
  func forcedRebuild() throws {
    try withTemporaryFolder { folder in
      let pipeline = try rows(["a", "b"], in: folder)
      try pipeline.run()
      // Ended while the new catalog is made.
      let names = (8..<16).map { "\(folder)/data/\($0)-0.png" }
      for name in names { try FileManager.default.moveItem(atPath: name, toPath: name + ".away") }
      #expect(throws: (any Error).self) {
        try pipeline.run(through: "ingest", forced: ["ingest"])
      }
      #expect(try ingest(pipeline).state == .partial)
      #expect(try pipeline.catalog().counts().pairs == 16)
      for name in names { try FileManager.default.moveItem(atPath: name + ".away", toPath: name) }
      for name in ["a", "b"] {
        let path = "\(folder)/data/\(name).csv"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
      }
      let remedy =
        "the forced rebuild cannot go on without it; to begin it again, restore it and run with --force"
      #expect(try ingest(pipeline).state == .done)
      #expect(try ingest(pipeline).reasons.contains(remedy))
      let events = try pipeline.run()
      #expect(events.contains(.upToDate(stage: "ingest")) && lines(events).contains(remedy))
      #expect(try pipeline.catalog().counts().pairs == 16)
      #expect(try pipeline.pipeline().status().allSatisfy { $0.state == .done })
      for name in ["a", "b"] {
        let path = "\(folder)/data/\(name).csv"
        try FileManager.default.moveItem(atPath: path + ".away", toPath: path)
      }
      try pipeline.run(forced: ["ingest"])
      #expect(try pipeline.catalog().counts().pairs == 16)
    }
  }

  @Test("files whose names differ in Unicode normalization alone are two, in one order")
  func normalization() throws {
    try withTemporaryFolder { folder in
      // In one scalar and in two; APFS and HFS+ take them for one name.
      let names = ["caf\u{E9}", "cafe\u{301}"]
      let pipeline = try rows(names, in: folder)
      guard try Folders.names(in: "\(folder)/data").count(where: { $0.hasSuffix(".csv") }) == 2
      else { return }
      try pipeline.run()
      let sources = try pipeline.catalog().sources()
      #expect(try pipeline.catalog().counts().pairs == 16)
      #expect(
        sources.map { ExactText($0.path) }
          == ["cafe\u{301}", "caf\u{E9}"].map { ExactText("\(folder)/data/\($0).csv") })
      #expect(try pipeline.run().contains(.upToDate(stage: "ingest")))
      let list = "\(folder)/drop.txt"
      var selected = pipeline
      for name in names {
        try AtomicFile.replace(list, with: Array("\(name).csv:0\n\(name).csv:1\n".utf8))
        selected.ingest["drop"] = .string(list)
        selected.workspace = "workspace-\(name.utf8.count)"
        try selected.run(through: "ingest")
        let counts = try selected.catalog().countsBySource()
        for count in counts {
          let isNamed = ExactText(count.path) == ExactText("\(folder)/data/\(name).csv")
          #expect(count.pairs == (isNamed ? 6 : 8), "\(count.path)")
        }
      }
    }
  }
}
