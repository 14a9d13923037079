import Foundation
import HostResources
import Testing

struct ProcessorTests {
  private static let emulator = "/usr/bin/qemu-x86_64"

  /// The emulator is Debian's package `qemu-user`.
  @Test(
    "on a processor that lacks what the program was built to use it says so",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: emulator)
        && KernelBuild.instructionSets.contains("avx")))
  func lacksInstructions() throws {
    // A processor of 2008, before AVX.
    let program = try Program(["--help"], emulator: [Self.emulator, "-cpu", "Nehalem"])
    let outcome = try program.outcome()
    #expect(outcome.exitCode == 1, "\(outcome)")
    #expect(outcome.failures.count == 1 && outcome.errors.contains("avx"), "\(outcome)")
    #expect(outcome.errors.contains("make build"))
  }
}
