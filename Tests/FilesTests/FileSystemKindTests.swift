import Files
import TestSupport
import Testing

struct FileSystemKindTests {
  @Test("file systems that other machines see are told by their numbers")
  func numbers() {
    #expect(FileSystemKind(type: 0x6969) == .nfs)
    #expect(FileSystemKind(type: 0x0bd0_0bd0) == .lustre)
    #expect(FileSystemKind(type: 0x4750_4653) == .gpfs)
    #expect(FileSystemKind(type: 0x6573_5546) == .fuse)
    #expect(FileSystemKind(type: 0xef53) == .local && !FileSystemKind.local.isShared)
    #expect(FileSystemKind.nfs.isShared)
  }

  @Test("a path that is not there is on its folder's file system")
  func absent() throws {
    try withTemporaryFolder { folder throws in
      #expect(FileSystemKind(at: folder + "/a/b/c") == FileSystemKind(at: folder))
    }
    #expect(FileSystemKind(at: "/proc/absent") == FileSystemKind(at: "/proc"))
  }
}
