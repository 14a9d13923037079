import Files
import Foundation
import TestSupport
import Testing

@Suite struct AtomicFileTests {
  @Test("without commit nothing is left, with it the file is there and nothing else")
  func commit() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/file"
      do {
        let file = try AtomicFile(path: path)
        try file.append([1, 2])
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(names.count == 1 && names.allSatisfy(TemporaryName.matches))
        #expect(try file.written().readAll() == [1, 2])
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      try AtomicFile.replace(path, with: [3])
      #expect(try RegularFile(path: path).readAll() == [3])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
    }
  }

  @Test("what is no regular file is refused by name and stays as it is")
  func otherKinds() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/folder", withIntermediateDirectories: false)
      #expect(mkfifo("\(folder)/fifo", 0o600) == 0)
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/dangling", withDestinationPath: "nowhere")
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/device", withDestinationPath: "/dev/null")
      let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      for (name, reason) in [
        ("folder", "a folder"), ("fifo", "a pipe"), ("device", "a device"),
        ("dangling", "a broken symbolic link"), ("absent/file", "absent does not exist"),
        ("new/", "a folder name"),
      ] {
        let error = #expect(throws: FileError.self) {
          try AtomicFile.replace("\(folder)/\(name)", with: [1])
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
      }
      #expect(throws: FileError.self) { try AtomicFile.replace("/dev/null", with: [1]) }
      #expect(throws: FileError.self) { try AtomicFile.replace("", with: [1]) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
    }
  }

  @Test("a link to a file is followed and kept")
  func links() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/elsewhere", withIntermediateDirectories: false)
      try AtomicFile.replace("\(folder)/elsewhere/file", with: [1])
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/link", withDestinationPath: "elsewhere/file")
      try AtomicFile.replace("\(folder)/link", with: [2])
      #expect(try RegularFile(path: "\(folder)/elsewhere/file").readAll() == [2])
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/link")
          == "elsewhere/file")
    }
  }

  @Test("a folder that allows no new file is an error that names the final path")
  func messages() throws {
    // A name that leaves no room for the temporary one is shortened.
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/\(String(repeating: "é", count: 127))", with: [1])
      let path = "/proc/self/fdinfo/file"
      let error = #expect(throws: FileError.self) { try AtomicFile.replace(path, with: [1]) }
      #expect("\(error.map { "\($0)" } ?? "")".hasPrefix("\(path): "))
      #expect("\(error.map { "\($0)" } ?? "")".contains(".tmp.") == false)
    }
  }
}

@Suite struct TemporaryNameTests {
  @Test("names are new each time and are known again; others are not")
  func matching() {
    let path = TemporaryName.beside("a/b.c")
    #expect(path.hasPrefix("a/b.c.tmp.") && path != TemporaryName.beside("a/b.c"))
    #expect(TemporaryName.matches(String(path.dropFirst(2))))
    for name in [
      "notes.tmp.1", "x.tmp.0123456789abcdeg", ".tmp.0123456789abcdef",
      "x.tmp.0123456789abcdef.png",
      "x.tmp.0123456789ABCDEF", "x.tmp-0123456789abcdef", "",
    ] {
      #expect(!TemporaryName.matches(name), "\(name)")
    }
    #expect(TemporaryName.target(of: String(path.dropFirst(2))) == "b.c")
    #expect(TemporaryName.target(of: "notes.tmp.1", earlier: true) == "notes")
    #expect(TemporaryName.target(of: "notes.tmp.", earlier: true) == nil)
  }
}
