import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// A user's files in a stage's folders are never lost, whatever the stage is doing.
@Suite struct KeptFileTests {
  private let manager = FileManager.default

  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { try body(ToyRun($0, "stages: { multiply: {}, join: {} }")) }
  }

  private func interrupt(_ toy: ToyRun, at item: Int, _ change: String) throws {
    toy.stop = item
    #expect(throws: Interruption.self) { try toy.run(change) }
    toy.stop = nil
  }

  @Test("what a user put in a result's place is moved away, not lost", arguments: [false, true])
  func keptAside(changes: Bool) throws {
    try withToy { toy throws in
      try toy.run()
      for number in 1...2 {
        try toy.put("multiply/1", "mine \(number)")
        try toy.run(changes ? "multiply.factor=\(number + 1)" : "multiply.factor=1.5")
        let path = "\(toy.folder)/run/state/kept/multiply/1" + (number == 1 ? "" : "-2")
        #expect(
          toy.events.contains {
            guard case .kept("multiply", let text) = $0 else { return false }
            return text.hasSuffix(
              "/multiply/1 was changed since it was written; it is kept as \(path)")
          })
      }
      #expect(try toy.text("multiply/1") == (changes ? "3.0" : "1.5"))
      #expect(try Folders.names(in: toy.folder + "/run/multiply") == ["0", "1", "2", "3"])
      _ = try toy.pipeline().collectGarbage(isDry: false)
      #expect(try toy.text("state/kept/multiply/1") == "mine 1")
      #expect(try toy.text("state/kept/multiply/1-2") == "mine 2")
    }
  }

  @Test(
    "what came among unfinished files is kept, however the making goes on",
    arguments: [
      (2, ["multiply.factor=2"]), (2, ["multiply.factor=3"]), (0, ["multiply.factor=3"]),
      (2, ["multiply.factor=1.5", "gc"]), (2, ["multiply.factor=3", "multiply.factor=2", "gc"]),
    ])
  func unfinished(stop: Int, next: [String]) throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, at: stop, "multiply.factor=2")
      for name in ["mine.txt", "sub/deep.txt", ".DS_Store"] {
        try toy.put("multiply/.building/\(name)", "mine")
      }
      for change in next {
        if change == "gc" {
          _ = try toy.pipeline().collectGarbage(isDry: false)
        } else {
          try toy.run(change)
        }
      }
      try toy.run("multiply.factor=4")
      let names = try Folders.names(in: toy.folder + "/run/multiply")
      #expect(names.filter { !$0.hasPrefix(".building-") } == ["0", "1", "2", "3"])
      for name in ["mine.txt", "sub/deep.txt", ".DS_Store"] {
        #expect(try toy.text("state/kept/multiply/\(name)") == "mine")
      }
    }
  }

  @Test("what is put beside a set-aside attempt is kept by gc")
  func attempt() throws {
    try withToy { toy throws in
      try toy.run()
      try interrupt(toy, at: 2, "multiply.factor=2")
      try toy.run()
      let aside = try #require(
        try Folders.names(in: toy.folder + "/run/multiply").first { $0.hasPrefix(".building-") })
      try toy.put("multiply/\(aside)/mine.txt", "mine")
      let found = try toy.pipeline().collectGarbage(isDry: false)
      #expect(found.map(\.byteCount) == [10])
      #expect(try toy.text("state/kept/multiply/mine.txt") == "mine")
    }
  }

  @Test("what came while a result was repaired is not taken for a part of it")
  func repair() throws {
    try withToy { toy throws in
      try toy.run()
      for item in [1, 3] { try manager.removeItem(atPath: "\(toy.folder)/run/multiply/\(item)") }
      try interrupt(toy, at: 3, "multiply.factor=1.5")
      try toy.put("multiply/mine.txt", "mine")
      try toy.run()
      try toy.run("multiply.factor=2")
      #expect(try toy.text("multiply/mine.txt") == "mine")
    }
  }

  @Test("what lies over a file that nothing reads is kept when others are repaired")
  func unreadFile() throws {
    try withToy { toy throws in
      try toy.run("multiply.note=spare")
      try toy.put("multiply/log", "mine")
      try manager.removeItem(atPath: "\(toy.folder)/run/multiply/1")
      try toy.run("multiply.note=spare")
      try toy.run("multiply.factor=2")
      #expect(try toy.text("state/kept/multiply/log") == "mine")
    }
  }

  @Test("gc keeps what lies over a file that it would remove")
  func spare() throws {
    try withToy { toy throws in
      try toy.run("multiply.note=spare")
      // Of the same size.
      try toy.put("multiply/spare/0", "mine!")
      _ = try toy.pipeline("multiply.note=spare").collectGarbage(isDry: false)
      #expect(try toy.text("state/kept/multiply/spare/0") == "mine!")
    }
  }

  @Test("gc leaves what is no part among the parts")
  func parts() throws {
    try withToy { toy throws in
      try toy.part(1, of: 2)
      let names = ["mine.part", "0123456789abcdef/mine.txt"]
      try toy.put("parts/multiply/\(names[1])", "mine")
      try toy.run()
      try toy.part(2, of: 2, "multiply.factor=2")
      try toy.put("parts/multiply/\(names[0])", "mine")
      _ = try toy.pipeline().collectGarbage(isDry: false)
      #expect(
        try Folders.names(in: toy.folder + "/run/parts/multiply")
          == ["0123456789abcdef", "mine.part"])
      for name in names { #expect(try toy.text("parts/multiply/\(name)") == "mine") }
    }
  }

  @Test("killed while a result was put in its place: what came there since is kept")
  func replacing() throws {
    try withToy { toy throws in
      try toy.run()
      let blocked = "\(toy.folder)/run/multiply/1"
      #expect(throws: (any Error).self) {
        try Runner(try toy.pipeline("multiply.factor=2", "multiply.count=5")) { event in
          guard case .started = event else { return }
          try? manager.removeItem(atPath: blocked)
          try? manager.createDirectory(atPath: blocked + "/x", withIntermediateDirectories: true)
        }.run()
      }
      try manager.removeItem(atPath: blocked)
      for item in [2, 4] { try toy.put("multiply/\(item)", "mine") }
      try toy.put("multiply/.building/mine.txt", "mine")
      try toy.run("multiply.factor=2", "multiply.count=5")
      #expect(toy.reasons("multiply") == nil)
      #expect(try toy.text("multiply/2") == "4.0" && toy.text("multiply/4") == "8.0")
      for name in ["2", "4", "mine.txt"] {
        #expect(try toy.text("state/kept/multiply/\(name)") == "mine")
      }
    }
  }
}
