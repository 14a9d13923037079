import Files
import PipelineCore
import TestSupport
import Testing

/// Files that a changed setting does not change are taken over by the new result.
@Suite struct LastingFilesTests {
  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { folder in
      try body(try ToyRun(folder, "stages: { multiply: {}, join: {} }"))
    }
  }

  private func takenOver(_ toy: ToyRun) -> String? {
    for case .said("multiply", let text) in toy.events where text.contains("taken over") {
      return text.split(separator: " ").last.map(String.init)
    }
    return nil
  }

  @Test("those of the finished result are not made again")
  func finished() throws {
    try withToy { toy throws in
      try toy.run()
      toy.stop = 2
      try toy.run("multiply.name=other")
      #expect(toy.reasons("multiply")?.contains { $0.contains("other") } == true)
      #expect(takenOver(toy) == "4")
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")
      #expect(try toy.pipeline("multiply.name=other").status()[0].state == .done)
    }
  }

  @Test("what the change would change is made again, and so are damaged files")
  func remade() throws {
    try withToy { toy throws in
      try toy.run()
      try toy.run("multiply.name=other", "multiply.factor=2")
      #expect(takenOver(toy) == nil)
      #expect(try toy.text("text") == "0.0 2.0 4.0 6.0")
      try flipBit(of: toy.folder + "/run/multiply/2")
      try toy.run("multiply.factor=2")
      #expect(takenOver(toy) == "3")
      #expect(try toy.text("text") == "0.0 2.0 4.0 6.0")
      try toy.run("multiply.name=other", "multiply.factor=2", forced: ["multiply"])
      #expect(takenOver(toy) == nil)
    }
  }

  @Test(
    "an interrupted run takes over the rest when it goes on, and what an unfinished one has made")
  func interrupted() throws {
    try withToy { toy throws in
      try toy.run()
      try flipBit(of: toy.folder + "/run/multiply/2")
      toy.stop = 2
      #expect(throws: Interruption.self) { try toy.run("multiply.name=other") }
      #expect(takenOver(toy) == "3")
      try Folders.remove(toy.folder + "/run/multiply/.building/3")
      toy.stop = 3
      try toy.run("multiply.name=other")
      #expect(takenOver(toy) == "1")
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")

      toy.stop = 2
      #expect(throws: Interruption.self) { try toy.run("multiply.factor=2") }
      toy.stop = 1
      try toy.run("multiply.factor=2", "multiply.name=third")
      #expect(takenOver(toy) == "2")
      #expect(try toy.text("text") == "0.0 2.0 4.0 6.0")
    }
  }

  @Test("those of another device are made again")
  func otherDevice() throws {
    try withToy { toy throws in
      try toy.run()
      toy.stop = 2
      func run(_ name: String, _ device: RunDevice) throws {
        try Runner(toy.pipeline("multiply.name=\(name)"), device: device) { _ in }.run()
      }
      #expect(throws: Interruption.self) { try run("other", RunDevice("cuda:0")) }
      // One that computes as the first did.
      try run("third", RunDevice("cuda:1", canContinue: { $0 == "cpu" }))
    }
  }
}
