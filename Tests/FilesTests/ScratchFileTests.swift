import Files
import Foundation
import TestSupport
import Testing

@Suite struct ScratchFileTests {
  @Test("what was written is read back, the rest is zero, and nothing stays in the folder")
  func roundTrip() throws {
    try withTemporaryFolder { folder in
      let file = try ScratchFile(in: folder, size: 12)
      try [UInt8](1...4).withUnsafeBytes { try file.write($0, at: 5) }
      var bytes = [UInt8](repeating: 9, count: 12)
      try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
      #expect(bytes == [0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("nothing lies outside its size")
  func bounds() throws {
    try withTemporaryFolder { folder in
      let file = try ScratchFile(in: folder, size: 4)
      #expect(throws: FileError.self) {
        try [UInt8](repeating: 0, count: 4).withUnsafeBytes { try file.write($0, at: 1) }
      }
      var bytes: [UInt8] = [0]
      #expect(throws: FileError.self) {
        try bytes.withUnsafeMutableBytes { try file.read(at: -1, into: $0) }
      }
    }
  }

  @Test("a folder that is not there is named")
  func noFolder() {
    #expect { try ScratchFile(in: "/no/such/folder", size: 1) } throws: {
      "\($0)".contains("/no/such/folder")
    }
  }
}
