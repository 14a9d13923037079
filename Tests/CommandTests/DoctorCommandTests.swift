import Files
import Foundation
import TestSupport
import Testing

/// What `spo doctor` finds of the machine, and what it plans for.
@Suite struct DoctorCommandTests {
  @Test("memory is planned for the threads that the pipeline sets")
  func threads() throws {
    try withTemporaryFolder { folder in
      func need(_ threads: Int) throws -> Int {
        let outcome = try Program(
          ["doctor", SmallRun.pipeline, "--json", "--set", "threads=\(threads)"],
          environment: ["XDG_CACHE_HOME": folder]
        ).outcome()
        expectSuccess(outcome)
        let json = try JSONReader(JSON(parsing: outcome.output), path: "doctor")
        let stages = try json["pipeline"]["stages"].elements()
        let spo = try #require(try stages.first { try $0.string("stage") == "spo" })
        return try spo.int("peak_memory")
      }
      let (one, many) = (try need(1), try need(16))
      #expect(one < many)
    }
  }

  @Test("a driver of GPUs that is there and cannot be used is said to be that")
  func damagedDriver() throws {
    try withTemporaryFolder { folder in
      let driver = "\(folder)/libcuda.so.1"
      try AtomicFile.replace(driver, with: Array("no library".utf8))
      func devices() throws -> Substring? {
        try Program(["doctor"], environment: ["LD_LIBRARY_PATH": folder]).outcome().output
          .split(separator: "\n").first { $0.hasPrefix("devices") }
      }
      let damaged = try #require(try devices())
      #expect(
        damaged.contains("cuda: not usable: libcuda.so.1 cannot be loaded: \(driver): "),
        "\(damaged)")
      // A library of something else.
      let other = try #require(
        try FileManager.default.subpathsOfDirectory(atPath: "/usr/lib")
          .first { $0.hasSuffix("/libpng16.so.16") })
      try FileManager.default.removeItem(atPath: driver)
      try FileManager.default.copyItem(
        atPath: URL(fileURLWithPath: "/usr/lib/\(other)").resolvingSymlinksInPath().path,
        toPath: driver)
      #expect(try devices()?.contains("cuda: not usable: libcuda.so.1 lacks functions") ?? false)
    }
  }
}
