import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

struct WorkspaceTests {
  private let body = "stages: { multiply: {}, join: {} }"

  @Test("a folder that holds something else is not used as a workspace")
  func notOurs() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      try toy.put("letter.txt", "mine")
      let error = #expect(throws: WorkspaceError.self) { try toy.run() }
      #expect(error == .notOurs(path: "\(folder)/run", example: "letter.txt"))
      #expect(error?.kind == .settings)
      #expect(try Folders.names(in: folder + "/run") == ["letter.txt"])
      #expect(throws: WorkspaceError.self) { try toy.pipeline().verify() }
      #expect(throws: WorkspaceError.self) { try toy.pipeline().collectGarbage(isDry: false) }
      #expect(throws: WorkspaceError.self) { try toy.pipeline().status() }
    }
  }

  @Test("what does not exist is no damage: what makes it is said")
  func absent() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      #expect(try toy.pipeline().status().map(\.state) == [.missing, .missing])
      for ask in [
        { _ = try toy.pipeline().verify() }, { _ = try toy.pipeline().collectGarbage(isDry: true) },
      ] {
        let error = #expect(throws: WorkspaceError.self) { try ask() }
        #expect(error?.kind == .input)
        #expect(
          error?.description == "\(folder)/run: no such workspace; "
            + "`spo run \(folder)/pipeline.json5` creates it, --workspace DIR selects another")
      }
      #expect(!Folders.exists(folder + "/run"))
    }
  }

  @Test("status says what a run would refuse to write over")
  func obstacles() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      try toy.put("multiply/mine.txt", "mine")
      let reasons = try toy.pipeline().status()[0].reasons
      #expect(reasons.first == "never run")
      #expect(reasons.last?.contains("multiply/mine.txt: stage multiply would write here") == true)
    }
  }

  @Test("what has the name of a lock and is none is refused and kept")
  func foreignLock() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      try toy.put("lock", "mine\n")
      #expect(throws: WorkspaceError.notOurs(path: "\(folder)/run", example: "lock")) {
        try toy.run()
      }
      #expect(try toy.text("lock") == "mine\n")
      #expect(try Folders.names(in: folder + "/run") == ["lock"])

      try FileManager.default.removeItem(atPath: folder + "/run/lock")
      try AtomicFile.replace(folder + "/victim", with: Array("mine".utf8))
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/run/lock", withDestinationPath: folder + "/victim")
      #expect(throws: WorkspaceError.self) { try toy.run() }

      // Where this program has worked before, too.
      try FileManager.default.removeItem(atPath: folder + "/run/lock")
      try toy.run()
      try toy.put("lock", "mine\n")
      #expect(throws: PipelineError.self) { try toy.run("multiply.factor=2") }
      #expect(try toy.text("lock") == "mine\n")
    }
  }

  @Test("an empty folder, and one that is ours with something beside, are used")
  func usable() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      try FileManager.default.createDirectory(
        atPath: folder + "/run/multiply", withIntermediateDirectories: true)
      try toy.run()
      try toy.put("letter.txt", "mine")
      try toy.run("multiply.factor=2")
      #expect(try toy.text("letter.txt") == "mine")
    }
  }

  @Test("a file and the root of all are refused")
  func impossible() throws {
    try withTemporaryFolder { folder throws in
      _ = try ToyRun(folder, body)
      func failure(_ workspace: String) -> (any Error)? {
        do {
          let pipeline = try Pipeline(
            path: folder + "/pipeline.json5", stages: toyStages, workspace: workspace)
          try Runner(pipeline) { _ in }.run()
          return nil
        } catch { return error }
      }
      try AtomicFile.replace(folder + "/file", with: [])
      #expect(failure(folder + "/file") as? WorkspaceError == .notFolder(path: folder + "/file"))
      if case .notOurs? = failure("/") as? WorkspaceError {} else { Issue.record("/ was taken") }
      #expect(failure("").map { FailureKind($0) } == .settings)
      for workspace in [folder + "/file", "/"] {
        #expect(throws: WorkspaceError.self) {
          try Pipeline(
            path: folder + "/pipeline.json5", stages: toyStages, workspace: workspace
          ).status()
        }
      }
    }
  }

  @Test("a run that cannot begin leaves no workspace behind")
  func nothingLeft() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      #expect(throws: (any Error).self) { try toy.run("multiply.table=absent") }
      #expect(!Folders.exists(folder + "/run"))
      struct Refusal: Error {}
      #expect(throws: Refusal.self) {
        try Runner(try toy.pipeline(), check: { _ in throw Refusal() }) { _ in }.run()
      }
      #expect(!Folders.exists(folder + "/run"))
    }
  }
}
