import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

@Suite struct NothingLearnedTests {
  /// The output of a run and how it ends.
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
      #expect(!Folders.exists("\(run.workspace)/encodings.json"))
    }
  }

  /// A run on 12 rows of split train and 6 of validation_unique, after `change` to each of them.
  private func run(
    in folder: String, _ overrides: [String] = [], _ change: (String, Int, inout Row) -> Void
  ) throws -> MiniatureRun {
    let run = MiniatureRun(in: folder, overrides: overrides)
    try run.makeSources()
    for (split, count) in [("train", 12), ("validation_unique", 6)] {
      let rows = try (0..<count).map { number in
        var row = Row(
          first: ("\(split)-\(number)-a", try samplePNG(number)),
          second: ("\(split)-\(number)-b", try samplePNG(100 + number)))
        row.caption = "prompt \(number % 2)"
        change(split, number, &row)
        return row
      }
      let name = try #require(
        try Folders.names(in: folder).first { $0.hasPrefix("\(split)-00000") })
      try write(rows, to: "\(folder)/\(name)")
    }
    return run
  }

  @Test("rows without a label are not called ties, and are found before anything is encoded")
  func unlabelled() throws {
    for (ties, message) in [
      (0, "all 12 training comparisons are without a label"),
      (5, "of 12 training comparisons 5 are ties and 7 without a label"),
    ] {
      try withTemporaryFolder { folder in
        let run = try run(in: folder) { split, number, row in
          guard split == "train" else { return }
          row.labels = number < ties ? (0.5, 0.5) : (0, 0)
          row.hasLabel = number < ties
        }
        let (said, failure) = outcome(of: run)
        #expect(failure.map { "\($0)".contains(message) } == true, "\(failure as Any)")
        #expect(failure.map { FailureKind($0) } == .nothingLearned)
        #expect(!Folders.exists("\(run.workspace)/encodings.json"))
        #expect(said.contains { $0.contains("\(ties) of them ties, \(12 - ties) without a label") })
      }
    }
  }

  @Test(
    "a split that filters leave nothing of is said with the setting, and never trained on instead")
  func lostSplits() throws {
    for (settings, lost, sentence) in [
      (
        ["ingest.ties=drop"], "train",
        "all 12 rows of split train are excluded: 12 filtered-tie (ingest.ties=drop); add rows"
      ),
      (
        ["ingest.ties=drop", "shard.validation_fraction=0"], "validation_unique",
        "add rows in which an image is preferred: all 6 rows of split validation_unique are excluded"
      ),
      (
        ["ingest.limit=12", "shard.validation_fraction=0"], "none",
        "raise ingest.limit: no row of split validation_unique is read: ingest.limit=12"
      ),
    ] {
      try withTemporaryFolder { folder in
        let run = try run(in: folder, settings) { split, _, row in
          if split == lost { row.labels = (0.5, 0.5) }
        }
        let (said, failure) = outcome(of: run)
        let message = failure.map { "\($0)" } ?? ""
        #expect(message.contains(sentence), "\(message)")
        #expect(!message.contains("ingest.split"), "\(message)")
        #expect(!Folders.exists("\(run.workspace)/encodings.json"))
        #expect(said.contains { $0.hasPrefix("ingest: note: ") && $0.contains("of split") })
      }
    }
    // Rows outside of train are used with a label only.
    try withTemporaryFolder { folder in
      let run = try run(in: folder, ["shard.validation_fraction=0"]) { split, _, row in
        if split != "train" { (row.labels, row.hasLabel) = ((0, 0), false) }
      }
      let message = outcome(of: run).failure.map { "\($0)" } ?? ""
      #expect(
        message.contains(
          "or add rows that have a label: all 6 rows of split validation_unique are excluded: "
            + "6 filtered-unlabelled (ingest.only_with_label=outside_train)"), "\(message)")
      #expect(!message.contains("add a file"), "\(message)")
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
      let examined = StagesTests.failure {
        _ = try Doctor(
          limits: MachineLimits(memory: 1 << 40, freeDisk: nil), rates: nil
        ) { _ in try run.configured() }
      }
      let words = "both images are the same in all "
      #expect(examined?.contains(words) == true, "\(examined ?? "accepted")")
      let failure = try #require(outcome(of: run).failure)
      #expect(FailureKind(failure) == .nothingLearned)
      #expect(
        "\(failure)".contains(
          "all 8 training comparisons that are not ties compare an image with itself"),
        "\(failure)")
      // Before anything is encoded.
      #expect(!Folders.exists("\(run.workspace)/encodings.json"))
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
      let overrides = ["spo.learning_rate=1e-9", "preference.learning_rate=1e-9"]
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

  @Test("an oracle that does not know the held-out prompts is refused as soon as they are known")
  func foreignPrompts() throws {
    try withTemporaryFolder { folder in
      func run(_ oracle: String) -> MiniatureRun {
        MiniatureRun(
          in: folder,
          overrides: [
            "spo.held_out_every=1", "spo.held_out_oracle=\(oracle)", "report.oracle=none",
            "ingest.source=\(folder)/train.csv", "shard.validation_fraction=0.5",
          ])
      }
      var rows = "prompt,chosen,rejected\n"
      for row in 0..<20 { rows += "an oil painting of fox \(row),\(row % 4).png,4.png\n" }
      for image in 0..<5 {
        try AtomicFile.replace("\(folder)/\(image).png", with: try samplePNG(image))
      }
      try AtomicFile.replace("\(folder)/train.csv", with: Array(rows.utf8))
      let refused = outcome(of: run("procedural-world"), through: "spo").failure
      let message = refused.map { "\($0)" } ?? "accepted"
      #expect(
        message.contains("spo.held_out_oracle: understands only prompts of the embedded world"),
        "\(message)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/workspace/encodings.json"))
      #expect(outcome(of: run("none"), through: "shard").failure == nil)
    }
  }

  @Test(
    "one row, of which nothing could be held out, is refused before it is read",
    arguments: ["train-*", "*"])
  func oneRow(files: String) throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(
        in: folder, overrides: ["ingest.source=\(folder)/\(files).parquet", "ingest.limit=1"])
      try run.makeSources()
      let failure = try #require(outcome(of: run, through: "shard").failure)
      #expect("\(failure)".contains("ingest.limit: is 1, and training needs"), "\(failure)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/workspace/catalog.sqlite"))
    }
  }
}
