import Files
import PipelineCore
import TestSupport
import Testing

/// Interrupted results begun with other settings or by force are kept until needed again.
@Suite struct AttemptTests {
  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { folder in
      try body(try ToyRun(folder, "stages: { multiply: {}, join: {} }"))
    }
  }

  /// Runs until item 2, of four.
  private func interrupt(
    _ toy: ToyRun, _ change: String? = nil, forced: Set<String> = []
  ) throws {
    toy.stop = 2
    #expect(throws: Interruption.self) {
      if let change {
        try toy.run(change, forced: forced)
      } else {
        try toy.run(forced: forced)
      }
    }
    toy.stop = nil
  }

  private func resumed(_ toy: ToyRun) -> Bool? {
    for case .started("multiply", _, let resumed) in toy.events { return resumed }
    return nil
  }

  @Test("each of several attempts continues where it was left, whatever came in between")
  func others() throws {
    try withToy { toy throws in
      try toy.run()
      for factor in [1, 2, 3] { try interrupt(toy, "multiply.factor=\(factor)") }
      let reasons = try toy.pipeline("multiply.factor=3").status()[0].reasons
      #expect(
        reasons.count { $0.hasPrefix("started with different settings: 2 of 4 numbers") } == 2,
        "\(reasons)")
      for factor in [2, 1, 3] {
        try toy.run("multiply.factor=\(factor)")
        #expect(resumed(toy) == true)
        #expect(
          try toy.text("text") == (0..<4).map { "\(Double($0 * factor))" }.joined(separator: " "))
      }
      #expect(try Folders.names(in: toy.folder + "/run/multiply") == ["0", "1", "2", "3"])
      #expect(try Folders.names(in: toy.folder + "/run/state/attempts").isEmpty)
    }
  }

  @Test("what was made of an attempt is not made again")
  func kept() throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, "multiply.factor=2")
      try toy.put("multiply/.building/1", "mine")
      try toy.run()
      #expect(resumed(toy) == nil)
      #expect(try toy.pipeline().status()[0].unitsDone == 4)
      try toy.run("multiply.factor=2")
      #expect(resumed(toy) == true)
      #expect(try toy.text("multiply/1") == "mine")
    }
  }

  @Test(
    "a forced run that was interrupted goes on, with and without --force", arguments: [true, false])
  func forced(again: Bool) throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, forced: ["multiply"])
      try toy.put("multiply/.building/1", "other")
      #expect(try toy.pipeline().status()[0].state == .partial)
      try toy.run(forced: again ? ["multiply"] : [])
      #expect(resumed(toy) == true)
      #expect(try toy.text("text") == "0.0 other 3.0 4.5")
      // When it is complete, force starts over.
      try toy.run(forced: ["multiply"])
      #expect(resumed(toy) == false)
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")
    }
  }

  @Test("gc removes attempts; force begins one anew")
  func garbage() throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, "multiply.factor=2")
      try toy.run()
      let garbage = try toy.pipeline().collectGarbage(isDry: false)
      #expect(
        garbage.map(\.what).contains {
          $0.contains("started with different settings or inputs, 2 of 4")
        })
      #expect(try Folders.names(in: toy.folder + "/run/multiply") == ["0", "1", "2", "3"])
      try toy.run("multiply.factor=2")
      #expect(resumed(toy) == false)
      try interrupt(toy, "multiply.factor=5")
      try toy.run()
      try toy.run("multiply.factor=5", forced: ["multiply"])
      #expect(resumed(toy) == false)
    }
  }

  @Test("a process that was killed while an attempt was put away or taken up loses nothing")
  func killed() throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, "multiply.factor=2")
      let record = try RegularFile(path: toy.folder + "/run/state/multiply.json").readAll()
      try toy.put("multiply/.building/1", "mine")
      try toy.run()
      // Put away, but the record did not say so yet.
      try AtomicFile.replace(toy.folder + "/run/state/multiply.json", with: record)
      try toy.run()
      try AtomicFile.replace(toy.folder + "/run/state/multiply.json", with: record)
      try toy.run("multiply.factor=2")
      #expect(try toy.text("multiply/1") == "mine")
    }
  }
}
