import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

@Suite struct NothingLearnedTests {
  /// What a run says and how it ends.
  private func outcome(
    of run: MiniatureRun, through last: String? = nil
  ) -> (said: [String], failure: (any Error)?) {
    var said: [String] = []
    do {
      try run.run(through: last) { event in
        if case .said(let stage, let text) = event { said.append("\(stage): \(text)") }
      }
      return (said, nil)
    } catch { return (said, error) }
  }

  @Test("a run that records no pair warns, fails at its end, and hands nothing over")
  func noPairs() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder, overrides: ["spo.threshold=0.999"])
      try run.makeSources()
      let first = outcome(of: run)
      let failure = try #require(first.failure)
      #expect(FailureKind(failure) == .nothingLearned)
      let message = "\(failure)"
      #expect(message.contains("no pair in 2 sampling batches"), "\(message)")
      #expect(message.contains("(mean gap), and spo.threshold is 0.999; lower spo.threshold"))
      #expect(!message.contains("\n"))
      #expect(first.said.count { $0.hasPrefix("spo: warning: batch") } == 2)
      #expect(
        !FileManager.default.fileExists(
          atPath: "\(run.workspace)/spo/pytorch_lora_weights.safetensors"))
      #expect(!FileManager.default.fileExists(atPath: "\(run.workspace)/export"))
      // The batches are done; the same command comes to the same end.
      let again = outcome(of: run)
      #expect(again.failure.map { "\($0)" } == message)
      // A lower threshold mends it.
      #expect(outcome(of: MiniatureRun(in: folder), through: "spo").failure == nil)
    }
  }

  @Test("what makes results doubtful stands in the summary and on the page")
  func warnings() throws {
    try withTemporaryFolder { folder in
      // Every ratio is clipped after an update as large as this.
      let run = MiniatureRun(in: folder, overrides: ["spo.learning_rate=0.05", "spo.clip=0.001"])
      try run.makeSources()
      try run.run()
      let summary = try JSONReader(contentsOf: "\(run.workspace)/report/summary.json")
      let warnings = try summary["warnings"].elements().map { try $0.string() }
      #expect(warnings.contains { $0.contains("likelihood ratios were clipped") }, "\(warnings)")
      let page = try String(contentsOfFile: "\(run.workspace)/report/index.html", encoding: .utf8)
      #expect(page.contains("likelihood ratios were clipped"))
    }
  }

  @Test("ties alone teach no preference")
  func ties() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources(labels: [(0.5, 0.5)])
      let failure = try #require(outcome(of: run).failure)
      #expect(FailureKind(failure) == .nothingLearned)
      #expect("\(failure)".contains("all 12 training comparisons are ties"))
    }
  }

  @Test(
    "an image that is compared with itself teaches no preference", arguments: ["quickstart", "dpo"])
  func oneImage(pipeline: String) throws {
    try withTemporaryFolder { folder in
      let run =
        pipeline == "dpo"
        ? MiniatureRun(in: folder, pipeline: "sd15-dpo", overrides: ["encode.size=null"])
        : MiniatureRun(in: folder)
      try run.makeSources { first, _ in first }
      let failure = try #require(outcome(of: run).failure)
      #expect(FailureKind(failure) == .nothingLearned)
      #expect(
        "\(failure)".contains(
          "all 8 training comparisons that are no ties compare an image with itself"),
        "\(failure)")
    }
  }

  @Test("scores that do not differ and gradients that vanish are said")
  func deadGradients() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      // Other bytes, the same image.
      try run.makeSources { first, _ in first + [0] }
      var results: [String] = []
      try run.run(through: "preference") { event in
        if case .result("preference", let text) = event { results.append(text) }
      }
      for text in [
        "the scores of the two images of a comparison hardly differ", "the gradients vanish",
      ] {
        #expect(results.contains { $0.hasPrefix("warning: preference: \(text)") }, "\(results)")
      }
    }
  }

  @Test("a LoRA that changes next to nothing is said, and what f16 cannot hold by its final path")
  func negligible() throws {
    try withTemporaryFolder { folder in
      let overrides = ["spo.learning_rate=1e-9", "preference.learning_rate=1e-10"]
      let run = MiniatureRun(in: folder, overrides: overrides)
      try run.makeSources()
      try run.run()
      let summary = try JSONReader(contentsOf: "\(run.workspace)/report/summary.json")
      let warnings = try summary["warnings"].elements().map { try $0.string() }
      for text in [
        "spo: the LoRA changes the weights by", "preference: the learning rates of all 4 steps",
      ] {
        #expect(warnings.contains { $0.hasPrefix(text) }, "\(warnings)")
      }
      let half = MiniatureRun(in: folder, overrides: overrides + ["export.dtype=f16"])
      let failure = "\(try #require(outcome(of: half, through: "export").failure))"
      #expect(
        failure.contains("\(run.workspace)/export/pytorch_lora_weights.safetensors"), "\(failure)")
    }
  }

  @Test("ordinary training warns of none of it")
  func noFalseAlarm() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      var results: [String] = []
      try run.run(through: "spo") { event in
        if case .result(_, let text) = event { results.append(text) }
      }
      for text in ["hardly differ", "vanish", "changes the weights", "learning rates of all"] {
        #expect(!results.contains { $0.contains(text) }, "\(results)")
      }
    }
  }

  @Test(
    "data of which nothing is held out is refused before it is encoded, with a fraction that helps")
  func heldOut() throws {
    try withTemporaryFolder { folder in
      func run(_ fraction: String) -> MiniatureRun {
        MiniatureRun(
          in: folder,
          overrides: [
            "ingest.source=\(folder)/train-*.parquet", "shard.validation_fraction=\(fraction)",
          ])
      }
      try run("0").makeSources()
      let failure = try #require(outcome(of: run("0"), through: "shard").failure)
      let message = "\(failure)"
      #expect(
        message.contains("shard.validation_fraction: 0.0 holds out 0 of 2 prompts"), "\(message)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/workspace/encodings.json"))
      let remedy = try #require(
        message.split(separator: ",").compactMap { $0.split(separator: "=").dropFirst().first }
          .first)
      #expect(outcome(of: run(String(remedy)), through: "shard").failure == nil)
    }
  }
}
