import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Success means that something was learned.
@Suite(.serialized) struct LearningTests {
  @Test("a run that records no pair fails, names mean gap and threshold, and hands over no LoRA")
  func noPairs() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      expect(
        try run.run("--set", "spo.threshold=0.99", "--through", "export"),
        failsAs: .nothingLearned, naming: "0.99", "gap")
      for path in ["spo/pytorch_lora_weights.safetensors", "export"] {
        #expect(!FileManager.default.fileExists(atPath: run.path(path)), "\(path)")
      }
    }
  }

  @Test("a learning rate of 0 is refused or ends as nothing learned")
  func noStep() throws {
    try withTemporaryFolder { folder in
      let outcome = try SmallRun(in: folder).run(
        "--set", "spo.learning_rate=0", "--through", "export")
      let refusals = [FailureKind.settings.rawValue, FailureKind.nothingLearned.rawValue]
      #expect(refusals.contains(outcome.exitCode ?? -1), "\(outcome)")
    }
  }

  @Test("a finished run's LoRA changes the model, and its summary lists warnings")
  func finished() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let lora = try SafetensorsFile(path: run.path("export/pytorch_lora_weights.safetensors"))
      for entry in lora.entries where entry.name.contains(".up.") {
        let values = try lora.floats(entry.name)
        #expect(values.allSatisfy(\.isFinite) && values.contains { $0 != 0 }, "\(entry.name)")
      }
      let summary = try JSONReader(contentsOf: run.path("report/summary.json"))
      _ = try summary["warnings"].elements()
    }
  }

  @Test("too few comparisons for a held-out split are met before the stages that take long")
  func noHeldOutSplit() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let source = fixturePath("commands/comparisons/train-00000-of-00001.parquet")
      let outcome = try run.run("--set", "ingest.source=\(source)")
      #expect(outcome.exitCode != 0)
      #expect(outcome.errors.contains("shard.validation_fraction"), "\(outcome)")
      #expect(!FileManager.default.fileExists(atPath: run.path("cache.sqlite")), "encoded already")
    }
  }
}
