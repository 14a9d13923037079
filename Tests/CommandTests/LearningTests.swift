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

  @Test("what cannot be held out is met right after ingest, whichever stage comes next")
  func noHeldOutSplit() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let source = fixturePath("commands/comparisons/train-00000-of-00001.parquet")
      let outcome = try run.run("--set", "ingest.source=\(source)")
      expect(outcome, failsAs: .settings, naming: "shard.validation_fraction")
      #expect(FileManager.default.fileExists(atPath: run.path("catalog.sqlite")))
      #expect(!FileManager.default.fileExists(atPath: run.path("cache.sqlite")))
      // With the catalog there, it is reported immediately.
      let doctor = try spo(
        "doctor", SmallRun.pipeline, "--workspace", run.workspace, "--set",
        "ingest.source=\(source)"
      )
      expect(doctor, failsAs: .settings, naming: "shard.validation_fraction")
      // To look at the data alone is no mistake.
      expectSuccess(try run.run("--set", "ingest.source=\(source)", "--through", "ingest"))
    }
  }

  @Test("splits that training cannot use are met by the files' names, before anything is read")
  func otherSplits() throws {
    try withTemporaryFolder { folder in
      for names in [["test"], ["train", "test"], ["validation"]] {
        let sources = "\(folder)/\(names.joined())"
        try FileManager.default.createDirectory(
          atPath: sources, withIntermediateDirectories: true)
        for name in names {
          try FileManager.default.copyItem(
            atPath: fixturePath("commands/comparisons/train-00000-of-00001.parquet"),
            toPath: "\(sources)/\(name)-00000-of-00001.parquet")
        }
        let run = SmallRun(in: sources)
        expect(
          try run.run("--set", "ingest.source=\(sources)/*.parquet"), failsAs: .settings,
          naming: "split \(names.last ?? "")".replacingOccurrences(of: "split test", with: "test"))
        #expect(!FileManager.default.fileExists(atPath: run.workspace))
        expectSuccess(
          try run.run("--set", "ingest.source=\(sources)/*.parquet", "--through", "ingest"))
      }
    }
  }

  @Test("a report on a split that the data has not is refused before anything is trained")
  func reportedSplit() throws {
    try withTemporaryFolder { folder in
      let begun = SmallRun(in: folder)
      let change = ["--set", "report.prompts=test"]
      expect(
        try begun.run(change[0], change[1]), failsAs: .settings, naming: "report.prompts",
        "train and validation_unique", "set report.prompts=validation_unique")
      #expect(!FileManager.default.fileExists(atPath: begun.path("encodings.json")))
      let finished = try SmallRun.finished(in: "\(folder)/finished")
      expect(
        try finished.run(change[0], change[1], "--set", "spo.rank=2"), failsAs: .settings,
        naming: "report.prompts")
      #expect(try finished.states()["spo"] == "done")
    }
  }
}
