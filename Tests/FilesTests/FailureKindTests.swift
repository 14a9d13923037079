import Files
import Foundation
import Testing

@Suite struct FailureKindTests {
  @Test("what the system says tells the kind")
  func systemErrors() {
    func kind(_ code: Int32) -> FailureKind {
      FailureKind(FileError.system(operation: "write", path: "x", code: code))
    }
    for code in [ENOSPC, EDQUOT, EFBIG, ENOMEM] { #expect(kind(code) == .space) }
    for code in [ENOENT, ENOTDIR, EIO] { #expect(kind(code) == .input) }
    for code in [EACCES, EMFILE, EROFS] { #expect(kind(code) == .other) }
    #expect(FailureKind(CancellationError()) == .other)
  }

  @Test("sizes are told in the unit that fits")
  func byteCounts() {
    for (count, text) in [
      (0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (64_250_000, "64.3 MB"),
      (540_200_000, "540 MB"), (7_500_000_000, "7.5 GB"), (2_000_000_000_000_000, "2000 TB"),
    ] {
      #expect(ByteCount.text(count) == text)
    }
  }
}
