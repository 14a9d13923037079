import Files
import Foundation
import TestSupport
import Testing

/// Limits of the shell (`ulimit`): if too low, an error says how much is enough.
@Suite(.serialized) struct LimitTests {
  @Test(
    "memory that the system refuses: 5, with what was wanted",
    arguments: [150_000, 300_000, 500_000])
  func memory(kilobytes: Int) throws {
    try withTemporaryFolder { folder in
      let outcome = try spo(
        "sample", "--model", "data/tiny-sd", "--prompt", "x", "--steps", "2", "--size", "1024x1024",
        "--out", "\(folder)/x.png", limits: "-v \(kilobytes)", within: 120)
      if outcome.exitCode != 0 { expect(outcome, failsAs: .space) }
    }
  }

  @Test(
    "files that may not grow, as with a full disk or quota: 5, and the same command goes on",
    arguments: [20, 100, 400])
  func fileSize(blocks: Int) throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let words = ["--workspace", run.workspace, "--quiet", "--through", "encode"]
      let stopped = try Program(["run", SmallRun.pipeline] + words, limits: "-f \(blocks)")
      expect(try stopped.outcome(), failsAs: .space, naming: ".sqlite")
      expectSuccess(try run.run("--through", "encode"))
    }
  }

  @Test("doctor names a limit of memory that is enough")
  func sufficientMemory() throws {
    try withTemporaryFolder { folder in
      // Where no rates have been measured yet: that takes more memory than there is.
      func doctor(_ kilobytes: Int) throws -> Outcome {
        try Program(
          ["doctor", SmallRun.pipeline], limits: "-v \(kilobytes)",
          environment: ["XDG_CACHE_HOME": folder]
        ).outcome()
      }
      let refused = try doctor(300_000)
      #expect(refused.exitCode == FailureKind.space.rawValue, "\(refused)")
      let named = refused.errors.matches(of: /ulimit -v (\d+) is enough/).compactMap { Int($0.1) }
      let limit = try #require(named.max(), "\(refused)")
      let accepted = try doctor(limit)
      expectSuccess(accepted)
      #expect(accepted.output.contains("?"), "\(accepted)")
    }
  }

  @Test("too small a stack: 5, with a limit that is enough", arguments: [64, 128, 511])
  func stack(kilobytes: Int) throws {
    let outcome = try Program(["--help"], limits: "-s \(kilobytes)").outcome()
    expect(outcome, failsAs: .space, naming: "\(kilobytes) kB", "ulimit -s 8192")
    expectSuccess(try Program(["--help"], limits: "-s 512").outcome())
  }

  @Test("too few open files: one line that names the limit, and the same command continues")
  func openFiles() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let words = ["--workspace", run.workspace, "--quiet", "--through", "shard"]
      for count in [6, 8, 10, 12, 14] {
        let stopped = try Program(["run", SmallRun.pipeline] + words, limits: "-n \(count)")
        expect(try stopped.outcome(), failsAs: .other, naming: "ulimit -n")
      }
      expectSuccess(try run.run("--through", "shard"))
    }
  }
}
