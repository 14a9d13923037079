import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

struct DeviceTests {
  @Test(
    "what the setting may say",
    arguments: [
      ("auto", "auto"), ("cpu", "cpu"), ("cuda", "cuda"), ("cuda:3", "cuda:3"),
      ("opencl:12", "opencl:12"),
    ])
  func choices(_ text: String, _ expected: String) {
    #expect(DeviceChoice(text)?.description == expected)
  }

  @Test(
    "and what not",
    arguments: [
      "", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:1:2", "cuda:٣", "Auto", "cpu:0", "opencl: 1",
      "cuda:99999999999999999999",
    ])
  func mistakes(_ text: String) {
    #expect(DeviceChoice(text) == nil)
  }

  private func run(_ toy: ToyRun, on device: String, _ overrides: [String] = []) throws {
    try run(toy, on: RunDevice(device), overrides)
  }

  private func run(_ toy: ToyRun, on device: RunDevice, _ overrides: [String] = []) throws {
    let pipeline = try Pipeline(
      path: toy.folder + "/pipeline.json5", stages: toyStages, overrides: overrides)
    try Runner(pipeline, device: device) { _ in }.run()
  }

  /// A device after an update that can still compute as before.
  private final class Updated {
    var turns: [String] = []

    func device(can old: String = "old") -> RunDevice {
      RunDevice("new", canContinue: { $0 == old }, turn: { self.turns.append($0) })
    }
  }

  private func devices(_ toy: ToyRun) throws -> [String] {
    try JSONReader(contentsOf: toy.folder + "/run/state/multiply.json")["devices"].elements().map {
      try $0.string()
    }
  }

  @Test("what one device began, another continues only if a setting says so")
  func changedDevice() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "one")
      // Finished results stay finished.
      try run(toy, on: "another")
      #expect(try devices(toy) == ["one"])
      try toy.write("stages: { multiply: { factor: 2 } }")
      toy.stop = 2
      #expect(throws: Interruption.self) { try run(toy, on: "another") }
      toy.stop = nil
      let error = #expect(throws: PipelineError.self) { try run(toy, on: "one") }
      #expect(error == .otherDevice(stage: "multiply", begun: "another", now: "one"))
      #expect(error?.kind == .settings)
      try run(toy, on: "one", ["may_change_device=true"])
      #expect(try devices(toy) == ["another", "one"])
      #expect(try toy.text("multiply/3") == "6.0")
    }
  }

  @Test("what was begun before an update is continued as before it, and what is new as after it")
  func updated() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "oldest")
      try toy.write("stages: { multiply: { factor: 2 } }")
      toy.stop = 2
      #expect(throws: Interruption.self) { try run(toy, on: "old") }
      #expect(throws: PipelineError.self) { try run(toy, on: Updated().device(can: "older")) }
      let updated = Updated()
      #expect(throws: Interruption.self) { try run(toy, on: updated.device()) }
      toy.stop = nil
      try run(toy, on: updated.device())
      #expect(try devices(toy) == ["old"] && updated.turns == ["old", "old"])
      // Also where a file was lost.
      try Folders.discard("\(folder)/run/multiply/1")
      try run(toy, on: updated.device())
      #expect(try devices(toy) == ["old"] && toy.text("multiply/1") == "2.0")
      #expect(updated.turns == ["old", "old", "old"])
      try toy.write("stages: { multiply: { factor: 3 } }")
      try run(toy, on: updated.device())
      #expect(try devices(toy) == ["new"] && updated.turns.last == "new")
    }
  }

  @Test("who allows a change gets what is new")
  func updatedByWish() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "oldest")
      try toy.write("stages: { multiply: { factor: 2 } }")
      toy.stop = 2
      #expect(throws: Interruption.self) { try run(toy, on: "old") }
      toy.stop = nil
      let updated = Updated()
      try run(toy, on: updated.device(), ["may_change_device=true"])
      #expect(try devices(toy) == ["old", "new"] && updated.turns == ["new"])
    }
  }

  @Test("parts after an update are made as those before it")
  func updatedParts() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try toy.part(1, of: 2, device: "old")
      let updated = Updated()
      try Runner(try toy.pipeline(), device: updated.device()) { _ in }
        .runPart(try Partition(index: 2, of: 2), of: "multiply")
      try run(toy, on: updated.device())
      #expect(try devices(toy) == ["old"] && updated.turns == ["old", "old"])
    }
  }

  @Test("machine code stays as long as a record names what made it")
  func garbage() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "one")
      let workspace = Workspace(path: "\(folder)/run")
      let program = String(repeating: "0a", count: 32)
      for device in ["one", "two"] {
        try Folders.make(workspace.kernelsPath(device))
        try AtomicFile.replace("\(workspace.kernelsPath(device))/\(program)", with: [1, 2, 3])
      }
      for stranger in [
        "\(workspace.kernelsPath("two"))/mine", "\(workspace.path)/state/kernels/mine",
      ] {
        try AtomicFile.replace(stranger, with: [1])
      }
      let found = try toy.pipeline().collectGarbage(isDry: true)
      #expect(found.map(\.byteCount) == [3])
      _ = try toy.pipeline().collectGarbage(isDry: false)
      #expect(try Folders.names(in: workspace.kernelsPath("one")) == [program])
      #expect(try Folders.names(in: workspace.kernelsPath("two")) == ["mine"])
      #expect(try Folders.names(in: workspace.path + "/state/kernels").contains("mine"))
      #expect(try toy.pipeline().collectGarbage(isDry: true).isEmpty)
    }
  }

  @Test("what a killed process left beside machine code is removed once nobody can be writing it")
  func leftovers() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "one")
      let kernels = Workspace(path: "\(folder)/run").kernelsPath("one")
      try Folders.make(kernels)
      let old = TemporaryName.beside("\(kernels)/\(String(repeating: "0", count: 64))")
      let new = TemporaryName.beside("\(kernels)/\(String(repeating: "1", count: 64))")
      let other = TemporaryName.beside("\(kernels)/mine")
      for path in [old, new, other] { try AtomicFile.replace(path, with: [1]) }
      for path in [old, other] {
        try FileManager.default.setAttributes(
          [.modificationDate: Date(timeIntervalSinceNow: -7_200)], ofItemAtPath: path)
      }
      try run(toy, on: "one")
      #expect(!Folders.exists(old) && Folders.exists(new) && Folders.exists(other))
    }
  }

  @Test("lost files are made again on the device that made the others")
  func repairedElsewhere() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      try run(toy, on: "one")
      try Folders.discard("\(folder)/run/multiply/1")
      #expect(throws: PipelineError.self) { try run(toy, on: "another") }
      try run(toy, on: "one")
      #expect(try toy.text("multiply/1") == "1.5")
    }
  }
}
