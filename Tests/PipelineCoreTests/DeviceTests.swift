import Files
import PipelineCore
import TestSupport
import Testing

struct DeviceTests {
  @Test(
    "what the setting may say",
    arguments: [
      ("auto", "auto"), ("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:3", "cuda:3"),
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
    let pipeline = try Pipeline(
      path: toy.folder + "/pipeline.json5", stages: toyStages, overrides: overrides)
    try Runner(pipeline, device: device) { _ in }.run()
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
      // What is done stays done.
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
