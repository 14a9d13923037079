import Files
import Imaging
import PipelineCore
import TestSupport
import Testing
import TrainingStages

@Suite struct TrainingLogTests {
  private func events(_ folder: String) throws -> [[UInt8]] {
    try Folders.names(in: folder).filter { $0.hasPrefix("events.out.tfevents.") }.map {
      try RegularFile(path: "\(folder)/\($0)").readAll()
    }
  }

  private func figures(_ loss: Double) -> JSON.Object {
    var figures = JSON.Object()
    figures["loss"] = .number(loss)
    figures["steps"] = .array([1])
    figures["kl_by_timestep"] = ["501": 2]
    return figures
  }

  @Test("event files hold what metrics do as soon as they do, images included")
  func flushed() throws {
    try withTemporaryFolder { folder in
      let log = try TrainingLog(folder: folder, resumingAfter: 0)
      #expect(try events(folder).isEmpty)
      try log.append(step: 1, figures(0.5))
      // No checkpoint has come yet.
      let first = try #require(try events(folder).first)
      #expect(contains(first, Array("loss".utf8)) && !contains(first, Array("steps".utf8)))
      #expect(contains(first, Array("kl_by_timestep/501".utf8)))
      #expect(try TrainingLog.lines(in: folder).count == 1)
      let image = RGBImage(width: 2, height: 1, pixels: [0, 1, 2, 3, 4, 5])
      try log.append(step: 1, "held-out prompts", image)
      let second = try #require(try events(folder).first)
      let png = try image.encodedAsPNG()
      #expect(second.starts(with: first) && contains(second, png))
    }
  }

  @Test(
    "a resumed run opens a file that takes back what came after the checkpoint", arguments: [0, 3])
  func resumed(checkpoint: Int) throws {
    try withTemporaryFolder { folder in
      let killed = try TrainingLog(folder: folder, resumingAfter: 0)
      for step in 1...5 { try killed.append(step: step, figures(1)) }
      let log = try TrainingLog(folder: folder, resumingAfter: checkpoint)
      try log.append(step: checkpoint + 1, figures(2))
      let files = try events(folder)
      #expect(files.count == 2)
      #expect(try TrainingLog.lines(in: folder).count == checkpoint + 1)
      // Event 2 of a file: its time (9 bytes), its step where it is not 0, and the start of a session.
      let start = [0x3A, 0x02, 0x08, 0x01] as [UInt8]
      let step: [UInt8] = checkpoint == 0 ? [] : [0x10, UInt8(checkpoint + 1)]
      #expect(files.contains { contains($0, step + start) })
      #expect(files.allSatisfy { contains($0, start) })
    }
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard let first = part.first else { return true }
    return bytes.indices.contains {
      bytes[$0] == first && bytes[$0...].prefix(part.count).elementsEqual(part)
    }
  }
}
