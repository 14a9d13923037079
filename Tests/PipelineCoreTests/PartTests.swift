import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// Parts of a stage, and what a merge makes of them.
struct PartTests {
  /// Digests as they are saved of no file.
  private static let noDigests =
    #"{"files": {}, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#

  @Test("any mixture of parts, in any order, gives what one run gives", arguments: [1, 3, 64])
  func merges(count: Int) throws {
    try withToys { whole, toy throws in
      for index in (1...count).reversed() { try toy.part(index, of: count) }
      #expect(try Folders.names(in: toy.folder + "/run") == ["parts"])
      try toy.run(through: "multiply", merge: Runner.Merge())
      #expect(!Folders.exists(toy.folder + "/run/parts"))
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test(
    "a merge refuses gaps and says which parts to run; lost ones may come from another division")
  func gaps() throws {
    try withToys { whole, toy throws in
      for index in [1, 3] { try toy.part(index, of: 4) }
      let error = #expect(throws: PartError.self) {
        try toy.run(through: "multiply", merge: Runner.Merge())
      }
      #expect(
        error
          == .incomplete(stage: "multiply", missing: 10, total: 20, again: "2,4", count: 4))
      #expect(error.map { FailureKind($0) } == .other)
      for index in 1...7 { try toy.part(index, of: 7) }
      try toy.run(through: "multiply", merge: Runner.Merge())
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("an ordinary run takes what is there and computes the rest")
  func ordinaryRun() throws {
    try withToys { whole, toy throws in
      try toy.part(2, of: 3)
      try toy.run()
      #expect(try toy.products() == whole.products())
      #expect(!Folders.exists(toy.folder + "/run/parts"))
    }
  }

  @Test("rejections are merged as rejections")
  func rejections() throws {
    try withToys("multiply.note=reject 5") { whole, toy throws in
      for index in 1...3 { try toy.part(index, of: 3, "multiply.note=reject 5") }
      try toy.run("multiply.note=reject 5", through: "multiply", merge: Runner.Merge())
      #expect(try toy.products() == whole.products())
      #expect(try toy.text("multiply/5") == "rejected: odd")
    }
  }

  @Test("a part that was stopped continues; one that is complete has nothing to do")
  func tries() throws {
    try withToys { whole, toy throws in
      try toy.put("state/digests.json", Self.noDigests)
      toy.stop = 10
      #expect(throws: Interruption(signal: 2)) { try toy.part(2, of: 3) }
      toy.stop = nil
      let path = toy.folder + "/run/parts/multiply/2-of-3.part"
      let stopped = try #require(try PartFile(path: path))
      #expect(!stopped.isComplete && stopped.entries.map(\.position) == [1, 4, 7])
      try toy.part(2, of: 3)
      let second = try #require(try PartFile(path: path.replacing(".part", with: ".2.part")))
      #expect(second.isComplete && second.entries.map(\.position) == [10, 13, 16, 19])
      let events = try toy.part(2, of: 3)
      #expect(events.count == 1)
      #expect(try Folders.names(in: toy.folder + "/run/parts/multiply").count == 2)
      for index in [1, 3] { try toy.part(index, of: 3, environment: ["SLURM_RESTART_COUNT": "4"]) }
      #expect(Folders.exists(toy.folder + "/run/parts/multiply/3-of-3.5.part"))
      try toy.run(through: "multiply", merge: Runner.Merge())
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("a file may end anywhere: what is whole counts, and the part continues")
  func tornTails() throws {
    try withToys { whole, toy throws in
      try toy.part(1, of: 2)
      try toy.part(2, of: 2)
      let path = toy.folder + "/run/parts/multiply/2-of-2.part"
      let bytes = try RegularFile(path: path).readAll()
      let start = try #require(try PartFile(path: path)?.entries.first?.offset)
      for end in stride(from: 0, to: bytes.count, by: 7) {
        try Data(bytes[..<end]).write(to: URL(fileURLWithPath: path))
        let part = try PartFile(path: path)
        #expect((part == nil) == (end < start))
        #expect(part?.isComplete != true)
      }
      for end in [0, 5, start - 1, start + 200, bytes.count - 1] {
        try Data(bytes[..<end]).write(to: URL(fileURLWithPath: path))
        try toy.part(2, of: 2)
        #expect(try toy.part(2, of: 2).count == 1)
        let folder = toy.folder + "/run/parts/multiply"
        for name in try Folders.names(in: folder) where name.hasPrefix("2-of-2.") && end != 0 {
          if name != "2-of-2.part" { try Folders.remove("\(folder)/\(name)") }
        }
      }
      try toy.part(2, of: 2)
      try toy.run(through: "multiply", merge: Runner.Merge())
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("a byte that is not as it was written is found, with its file and place")
  func damage() throws {
    try withToys { whole, toy throws in
      for index in 1...2 { try toy.part(index, of: 2) }
      let path = toy.folder + "/run/parts/multiply/2-of-2.part"
      let bytes = try RegularFile(path: path).readAll()
      for place in stride(from: 0, to: bytes.count, by: 5) {
        var damaged = bytes
        damaged[place] ^= 0x10
        try Data(damaged).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: (any Error).self, "byte \(place)") {
          try toy.run(through: "multiply", merge: Runner.Merge())
        }
        let text = "\(error.map { "\($0)" } ?? "")"
        #expect(text.hasPrefix("\(path): damaged at byte "), "byte \(place): \(text)")
        #expect(error.map { FailureKind($0) } == .input)
      }
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("parts of other settings are refused by a merge and left alone by a run")
  func otherSettings() throws {
    try withToys { whole, toy throws in
      for index in 1...2 { try toy.part(index, of: 2, "multiply.factor=2") }
      try toy.part(1, of: 2)
      let error = #expect(throws: PartError.self) {
        try toy.run(through: "multiply", merge: Runner.Merge())
      }
      #expect(
        error
          == .otherSettings(
            path: toy.folder + "/run/parts/multiply/1-of-2.part",
            changes: ["setting factor: 2.0 -> 1.5"]))
      try toy.run()
      #expect(try toy.products() == whole.products())
      #expect(try Folders.names(in: toy.folder + "/run/parts/multiply").count == 2)
    }
  }

  @Test("two parts with different bytes for an item are refused, both by name")
  func conflict() throws {
    try withToys { _, toy throws in
      try toy.part(1, of: 1)
      let folder = toy.folder + "/run/parts/multiply"
      let part = try #require(try PartFile(path: folder + "/1-of-1.part"))
      var header = part.header
      header.count = 5
      let writer = try PartWriter(header, in: folder)
      var output = OutputWriter()
      output.add("another")
      try writer.append(.output, position: 5, key: "number 5", output: output.bytes)
      try writer.finish()
      let error = #expect(throws: PartError.self) { try toy.run() }
      #expect(
        error
          == .conflict(
            path: folder + "/1-of-1.part", other: folder + "/1-of-5.part", position: 5))
    }
  }

  @Test("two processes at one part write a file each")
  func twoProcesses() throws {
    try withToys { whole, toy throws in
      try toy.put("state/digests.json", Self.noDigests)
      toy.stop = 18
      #expect(throws: Interruption.self) { try toy.part(1, of: 2) }
      let folder = toy.folder + "/run/parts/multiply"
      let first = try #require(try PartFile(path: folder + "/1-of-2.part"))
      let writer = try PartWriter(first.header, in: folder)
      #expect(writer.path == folder + "/1-of-2.2.part")
      toy.stop = nil
      try toy.part(1, of: 2)
      try toy.part(2, of: 2)
      try writer.finish()
      try toy.run()
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("a part of what is done does nothing; a stage before it that is not done is named")
  func order() throws {
    try withToys { _, toy throws in
      #expect(throws: PartError.notDivisible(stage: "join", known: ["multiply"])) {
        try toy.part(1, of: 2, stage: "join")
      }
      #expect(throws: PartError.notDivisible(stage: "join", known: ["multiply"])) {
        try toy.run(through: "join", merge: Runner.Merge())
      }
      #expect(throws: PipelineError.self) { try toy.part(1, of: 2, stage: "jion") }
      try toy.run()
      let before = try Folders.names(in: toy.folder + "/run")
      #expect(try toy.part(1, of: 2) == [.upToDate(stage: "multiply")])
      #expect(try Folders.names(in: toy.folder + "/run") == before)
      try toy.run(through: "multiply", merge: Runner.Merge())
      #expect(toy.reasons("multiply") == nil)
    }
  }

  @Test("parts of different devices are merged only where the user wants it")
  func devices() throws {
    try withToys { _, toy throws in
      try toy.part(1, of: 2)
      try toy.part(2, of: 2, device: "cuda")
      #expect(
        throws: PipelineError.otherDevice(stage: "multiply", begun: "cpu", now: "cuda")
      ) { try toy.run(through: "multiply", merge: Runner.Merge()) }
      try toy.run("may_change_device=true", through: "multiply", merge: Runner.Merge())
    }
  }

  @Test("what parts leave to whoever merges is computed there, on a device of the same kind")
  func undivided() throws {
    try withToys("multiply.note=keep 5") { whole, toy throws in
      for index in 1...2 {
        try toy.part(index, of: 2, "multiply.note=keep 5", device: "cuda")
      }
      #expect(
        throws: PipelineError.otherDevice(stage: "multiply", begun: "cuda", now: "cpu")
      ) { try toy.run("multiply.note=keep 5", through: "multiply", merge: Runner.Merge()) }
      try toy.run(
        "multiply.note=keep 5", "may_change_device=true", through: "multiply",
        merge: Runner.Merge())
      let record = try JSONReader(contentsOf: toy.folder + "/run/state/multiply.json")
      #expect(try record["devices"].elements().map { try $0.string() } == ["cuda", "cpu"])
      try toy.run("multiply.note=keep 5")
      #expect(try toy.products() == whole.products())
    }
  }

  @Test("numbers are told as job arrays take them")
  func arrays() {
    #expect([Int]().asArray == "")
    #expect([3].asArray == "3")
    #expect([13, 40, 41, 42, 50].asArray == "13,40-42,50")
  }

  /// A run in one piece and a workspace for parts, of the same pipeline.
  private func withToys(
    _ overrides: String..., body: (_ whole: ToyRun, _ parts: ToyRun) throws -> Void
  ) throws {
    try withTemporaryFolder { folder throws in
      let pipeline = "stages: { multiply: { count: 20 }, join: {} }"
      for name in ["whole", "parts"] { try Folders.make("\(folder)/\(name)") }
      let whole = try ToyRun(folder + "/whole", pipeline)
      for override in overrides { try whole.run(override) }
      if overrides.isEmpty { try whole.run() }
      try body(whole, try ToyRun(folder + "/parts", pipeline))
    }
  }
}

extension ToyRun {
  fileprivate func products() throws -> [String] { try (0..<20).map { try text("multiply/\($0)") } }
}
