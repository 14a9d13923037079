import Files
import PipelineCore
import TestSupport
import Testing

struct CheckpointFoldersTests {
  @Test("the newest checkpoints are kept and the newest is found")
  func keepsNewest() throws {
    try withCheckpoints { checkpoints throws in
      #expect(try checkpoints.newest() == nil)
      for step in [50, 100, 1_000_000] { try write(step, in: checkpoints) }
      #expect(try checkpoints.steps() == [100, 1_000_000])
      let newest = try #require(try checkpoints.newest())
      #expect(newest.step == 1_000_000)
      #expect(newest.path == "\(checkpoints.folder)/step-1000000")
      #expect(try RegularFile(path: newest.path + "/weights").readAll() == [1, 2, 3])
    }
  }

  @Test("a checkpoint whose writing fails leaves the one before and no trace")
  func failure() throws {
    struct Stop: Error {}
    func writeHalf(_ checkpoints: CheckpointFolders) throws {
      try checkpoints.write(step: 2) { folder in
        try AtomicFile.replace(folder + "/weights", with: [1])
        throw Stop()
      }
    }
    try withCheckpoints { checkpoints throws in
      try write(1, in: checkpoints)
      #expect(throws: Stop.self) { try writeHalf(checkpoints) }
      #expect(try checkpoints.newest()?.step == 1)
    }
  }

  @Test("what a killed process left is neither found nor kept")
  func leftover() throws {
    try withCheckpoints { checkpoints throws in
      let leftover = TemporaryName.beside(checkpoints.path(step: 7))
      try Workspace(path: leftover).makeFolder("inner")
      #expect(try checkpoints.newest() == nil)
      try write(8, in: checkpoints)
      #expect(!Folders.exists(leftover))
    }
  }

  @Test("checkpoints that a killed process had yet to remove go when the stage continues")
  func superseded() throws {
    try withCheckpoints { checkpoints throws in
      // As if the process had ended after it wrote the third.
      let more = CheckpointFolders(in: checkpoints.folder, keeping: 3)
      for step in [1, 2, 3] { try write(step, in: more) }
      #expect(try checkpoints.steps() == [1, 2, 3])
      try checkpoints.removeSuperseded()
      #expect(try checkpoints.steps() == [2, 3])
    }
  }

  @Test("what others put into a checkpoint stays, and makes no checkpoint")
  func others() throws {
    try withCheckpoints { checkpoints throws in
      try write(1, in: checkpoints)
      let note = checkpoints.path(step: 1) + "/note"
      try AtomicFile.replace(note, with: [7])
      for step in [2, 3] { try write(step, in: checkpoints) }
      #expect(try checkpoints.steps() == [2, 3])
      #expect(try Folders.names(in: checkpoints.path(step: 1)) == ["note"])
      #expect(try checkpoints.findings() == [])
      // A checkpoint that is made again takes it in.
      try checkpoints.remove(step: 3)
      try write(1, in: checkpoints)
      #expect(try checkpoints.newest()?.step == 2)
      #expect(try RegularFile(path: note).readAll() == [7])
    }
  }

  @Test("a damaged checkpoint is an error that names the file and the way out")
  func damage() throws {
    try withCheckpoints { checkpoints throws in
      try write(3, in: checkpoints)
      let path = checkpoints.path(step: 3) + "/weights"
      let cases: [([UInt8], String)] = [
        ([1, 2, 4], "its digest does not match"), ([1], "1 bytes instead of 3"),
      ]
      for (bytes, reason) in cases {
        try AtomicFile.replace(path, with: bytes)
        let error = #expect(throws: PipelineError.self) { try checkpoints.newest() }
        #expect(error?.description.hasPrefix("\(path): damaged: \(reason)") == true)
      }
    }
  }

  private func write(_ step: Int, in checkpoints: CheckpointFolders) throws {
    try checkpoints.write(step: step) { try AtomicFile.replace($0 + "/weights", with: [1, 2, 3]) }
  }

  private func withCheckpoints(_ body: (CheckpointFolders) throws -> Void) throws {
    try withTemporaryFolder { folder in
      try body(CheckpointFolders(in: folder + "/checkpoints"))
    }
  }
}
