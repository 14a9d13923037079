import Foundation
import TestSupport
import Testing

/// Work that is interrupted is kept, whatever is asked for in between.
@Suite struct InterruptionTests {
  @Test("a closed terminal asks to stop, and what a forced run has done continues, by force or not")
  func hangUp() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let words = [
        "run", SmallRun.pipeline, "--workspace", run.workspace, "--set", "spo.iterations=40",
      ]
      expectSuccess(try Program(words).outcome())
      let lora = "spo/pytorch_lora_weights.safetensors"
      let expected = try run.bytes(lora)
      for again in [["--force", "spo"], []] {
        let program = try Program(words + ["--force", "spo"])
        let metrics = run.path("spo/.building/metrics.jsonl")
        try program.wait {
          (try? Data(contentsOf: URL(fileURLWithPath: metrics)))?.isEmpty == false
        }
        let sentence = "is running it now"
        func status() throws -> String {
          try spo("status", SmallRun.pipeline, "--workspace", run.workspace).output
        }
        #expect(try status().contains(sentence))
        program.hangUp()
        let outcome = try program.outcome()
        #expect(outcome.exitCode == 129, "\(outcome)")
        #expect(outcome.errors.contains("run the same command to continue"), "\(outcome)")
        #expect(try !status().contains(sentence))
        #expect(try run.states("--set", "spo.iterations=40")["spo"] == "partial")
        let other = try Program(words + again).outcome()
        expectSuccess(other)
        #expect((other.output + other.errors).contains("spo: resuming"), "\(other)")
        #expect(try run.bytes(lora) == expected)
      }
    }
  }
}
