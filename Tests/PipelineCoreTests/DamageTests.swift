import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// Finished results are compared with their records before they are used.
struct DamageTests {
  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { try body(ToyRun($0, "stages: { multiply: {}, join: {} }")) }
  }

  @Test("status names what is damaged or missing, and a run makes it again")
  func named() throws {
    try withToy { toy throws in
      try toy.run()
      let text = toy.folder + "/run/text"
      try AtomicFile.replace(text, with: Array("0.0".utf8))
      var status = try toy.pipeline().status()
      #expect(status.map(\.state) == [.done, .damaged])
      #expect(status[1].reasons == ["damaged: \(text): 3 bytes instead of 15"])
      try toy.run()
      #expect(toy.reasons("multiply") == nil && toy.reasons("join") != nil)
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")
      try FileManager.default.removeItem(atPath: text)
      status = try toy.pipeline().status()
      #expect(status[1].state == .missing && status[1].reasons == ["missing: \(text)"])
      try toy.run()
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")
    }
  }

  @Test("a flipped bit is made good where it is, and nothing that follows runs")
  func flipped() throws {
    try withToy { toy throws in
      try toy.run()
      try toy.put("multiply/mine.txt", "mine")
      try flipBit(of: toy.folder + "/run/multiply/2")
      #expect(try toy.pipeline().status()[0].state == .damaged)
      let others = try FileManager.default.attributesOfItem(atPath: toy.folder + "/run/multiply/1")
      try toy.run()
      #expect(toy.reasons("multiply")?.first?.contains("its SHA-256 is ") == true)
      #expect(toy.reasons("join") == nil)
      #expect(try toy.text("multiply/2") == "3.0" && toy.text("multiply/mine.txt") == "mine")
      let same = try FileManager.default.attributesOfItem(atPath: toy.folder + "/run/multiply/1")
      #expect(others[.modificationDate] as? Date == same[.modificationDate] as? Date)
    }
  }

  @Test("a repair that is interrupted continues, and knows what is not the stage's")
  func interruptedRepair() throws {
    try withToy { toy throws in
      try toy.write("stages: { multiply: { note: 'go' }, join: {} }")
      try toy.run()
      try toy.put("multiply/mine.txt", "mine")
      for item in [1, 3] {
        try FileManager.default.removeItem(atPath: toy.folder + "/run/multiply/\(item)")
      }
      toy.stop = 3
      #expect(throws: Interruption.self) { try toy.run() }
      #expect(try toy.text("multiply/1") == "1.5")
      #expect(try toy.pipeline().status()[0].state == .missing)
      toy.stop = nil
      try toy.run()
      #expect(try toy.text("multiply/3") == "4.5")
      #expect(toy.reasons("join") == nil)
      try toy.run("multiply.factor=2")
      #expect(try toy.text("multiply/mine.txt") == "mine")
    }
  }

  @Test("a repaired result counts what it counted, though its intermediate files are gone")
  func unitsOfRepair() throws {
    try withToy { toy throws in
      try toy.run("multiply.note=forget")
      try flipBit(of: toy.folder + "/run/multiply/2")
      try toy.run("multiply.note=forget")
      #expect(toy.reasons("multiply") != nil)
      let status = try toy.pipeline("multiply.note=forget").status()[0]
      #expect(status.state == .done && status.unitsDone == 4 && status.unitsTotal == 4)
    }
  }

  @Test("verify reads everything and says what mends it")
  func verify() throws {
    try withToy { toy throws in
      #expect(throws: WorkspaceError.self) { try toy.pipeline().verify() }
      try toy.run()
      var found = try toy.pipeline().verify()
      #expect(found.map(\.files) == [4, 1] && found.allSatisfy { $0.problems.isEmpty })
      try flipBit(of: toy.folder + "/run/text")
      try flipBit(of: toy.folder + "/run/multiply/0")
      found = try toy.pipeline().verify()
      #expect(found.map(\.problems.count) == [1, 1])
      let failure = VerificationFailure(workspace: "run", found)
      #expect(failure.kind == .input)
      #expect(
        failure.description
          == "run: 2 problems; to repair: spo run \(toy.folder)/pipeline.json5")
      try toy.run()
      #expect(try toy.pipeline().verify().allSatisfy { $0.problems.isEmpty })
    }
  }

  @Test("gc removes what a finished stage keeps in spare, and says so first")
  func garbage() throws {
    try withToy { toy throws in
      try toy.run("multiply.note=spare")
      try toy.put("multiply/spare/mine", "mine")
      let dry = try toy.pipeline("multiply.note=spare").collectGarbage(isDry: true)
      #expect(dry.map(\.byteCount) == [5])
      #expect(dry.map(\.what) == ["\(toy.folder)/run/multiply/spare"])
      #expect(try toy.text("multiply/spare/0") == "spare")
      _ = try toy.pipeline("multiply.note=spare").collectGarbage(isDry: false)
      #expect(try Folders.names(in: toy.folder + "/run/multiply/spare") == ["mine"])
      #expect(try toy.pipeline("multiply.note=spare").collectGarbage(isDry: true).isEmpty)
      try toy.run("multiply.note=spare")
      #expect(toy.reasons("multiply") == nil)
    }
  }

  /// A finished run with a log that no stage reads, and what is only kept in spare.
  private func withSpare(_ body: (ToyRun, Pipeline) throws -> Void) throws {
    try withToy { toy throws in
      try toy.run("multiply.note=spare")
      try body(toy, try toy.pipeline("multiply.note=spare"))
    }
  }

  @Test(
    "what only helps to make lost files again is dropped where it is damaged, not all made again",
    arguments: [nil, "spar"])
  func spare(text: String?) throws {
    try withSpare { toy, pipeline throws in
      let file = toy.folder + "/run/multiply/spare/0"
      if let text {
        try AtomicFile.replace(file, with: Array(text.utf8))
      } else {
        try FileManager.default.removeItem(atPath: file)
      }
      let status = try pipeline.status()[0]
      #expect(status.state == .done)
      #expect(status.reasons.count == 1 && status.reasons[0].contains(file), "\(status.reasons)")
      let found = try pipeline.verify()[0]
      #expect(found.problems.count == 1 && found.problems[0].contains(file))
      #expect(
        found.remedy
          == "spo gc \(pipeline.path) --set multiply.note=spare, which removes files "
          + "needed only for retraining")
      _ = try pipeline.collectGarbage(isDry: false)
      #expect(try pipeline.verify()[0].problems.isEmpty)
      #expect(try pipeline.status()[0].reasons.isEmpty)
    }
  }

  @Test("what mends several things is said once")
  func remediesOnce() throws {
    try withSpare { toy, pipeline throws in
      let path = toy.folder + "/run/multiply"
      try AtomicFile.replace(path + "/spare/0", with: [])
      try FileManager.default.removeItem(atPath: path + "/log")
      let found = try pipeline.verify()
      let failure = VerificationFailure(workspace: "run", found + found)
      let command = "\(pipeline.path) --set multiply.note=spare"
      #expect(
        failure.description
          == "run: 4 problems; to repair: spo gc \(command), which removes files "
          + "needed only for retraining, then spo run \(command) --force multiply, which retrains, or "
          + "leave it: the result is intact")
    }
  }

  @Test("a file that no stage reads is compared, too, and the result stays whole")
  func unread() throws {
    try withSpare { toy, pipeline throws in
      let file = toy.folder + "/run/multiply/log"
      try flipBit(of: file)
      #expect(try pipeline.status()[0].state == .done)
      let found = try pipeline.verify()[0]
      #expect(found.problems.count == 1 && found.problems[0].contains("log: its SHA-256 is "))
      #expect(
        found.remedy
          == "spo run \(pipeline.path) --set multiply.note=spare --force multiply, which "
          + "retrains, or leave it: the result is intact")
      try FileManager.default.removeItem(atPath: file)
      let status = try pipeline.status()[0]
      #expect(status.state == .done && status.reasons.count == 1, "\(status.reasons)")
      #expect(status.reasons.first?.hasPrefix("missing: \(file); only retraining") == true)
      try toy.run("multiply.note=spare")
      #expect(toy.reasons("multiply") == nil)
    }
  }
}
