import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// The lock that other machines see.
struct SharedLockTests {
  @Test("who has the workspace on a file system of many machines is in a file, until it is free")
  func owner() throws {
    try withTemporaryFolder { folder throws in
      let workspace = Workspace(path: folder + "/run")
      let owner = workspace.path("lock.owner")
      do {
        let lock = try WorkspaceLock(workspace, fileSystem: .nfs)
        let text = String(decoding: try RegularFile(path: owner).readAll(), as: UTF8.self)
        #expect(text == "\(SharedLock.host) \(getpid())\n")
        withExtendedLifetime(lock) {}
      }
      #expect(!Folders.exists(owner))
      _ = try WorkspaceLock(workspace)
      #expect(!Folders.exists(owner))
    }
  }

  @Test("another machine's lock is respected, one that this machine has left is taken over")
  func others() throws {
    try withTemporaryFolder { folder throws in
      let workspace = Workspace(path: folder + "/run")
      let owner = workspace.path("lock.owner")
      try workspace.makeFolder("state")
      for text in ["node7 12\n", "", "nonsense", "node7 -1\n"] {
        try AtomicFile.replace(owner, with: Array(text.utf8))
        let error = #expect(throws: PipelineError.self) {
          try WorkspaceLock(workspace, fileSystem: .lustre)
        }
        #expect(error?.kind == .busy)
        #expect(error?.description.contains(owner) == true)
        #expect(error?.description.contains("process 12 on node7") == (text == "node7 12\n"))
      }
      try AtomicFile.replace(owner, with: Array("\(SharedLock.host) 1\n".utf8))
      let lock = try WorkspaceLock(workspace, fileSystem: .fuse)
      withExtendedLifetime(lock) {}
      try AtomicFile.replace(owner, with: Array("\(SharedLock.host) 1\n".utf8))
      #expect(throws: PipelineError.self) { try SharedLock(workspace, hasLocalLock: false) }
    }
  }
}
