import Files
import Foundation
import Imaging
import PipelineCore
import Stages
import TestSupport
import Testing

/// A report whose images random CLIPs score, at two guidance scales, on the prompts of a split.
@Suite struct PublishedScoresTests {
  private static let clip = fixturePath("scorers/clip-hf")
  private static let open = fixturePath("scorers/clip-open/HPS_v2.1_compressed.pt")

  /// The weights of `clip` as a preference model, which says how images are made ready.
  private func makeLabeller(_ folder: String) throws {
    try FileManager.default.copyItem(atPath: Self.clip, toPath: folder)
    let preprocessing: JSON = ["size": ["shortest_edge": 28], "crop_size": 28]
    try AtomicFile.replace(
      "\(folder)/preprocessor_config.json", with: Array(preprocessing.text().utf8))
  }

  /// The shortest pipeline that ends in a report, of comparisons that a model with the weights of `clip` labels.
  private func pipeline(_ folder: String, _ report: String) throws -> Pipeline {
    let text = """
      { workspace: "\(folder)/workspace", model: "\(MiniatureRun.tinyModel)",
        stages: {
          ingest: { source: "\(folder)/*.parquet" },
          encode: { latents: "mean" }, label: { scorer: "\(folder)/labeller", gap: 0 },
          shard: { labels: "model" },
          dpo: { steps: 2, batch: 4, pictures: 0, learning_rate: 0.01 },
          export: { forms: ["lora"] },
          report: { sampling_steps: 2, pictures_per_prompt: 2, \(report) },
        } }
      """
    let path = "\(folder)/pipeline.json5"
    try AtomicFile.replace(path, with: Array(text.utf8))
    return try Pipeline(path: path, stages: stageTypes)
  }

  private func run(_ pipeline: Pipeline) throws -> [RunEvent] {
    var events: [RunEvent] = []
    try Runner(pipeline) { events.append($0) }.run()
    return events
  }

  @Test("figures, best and worst prompts, drift, and what is no independent evidence")
  func report() throws {
    try withTemporaryFolder { folder in
      try MiniatureRun(in: folder).makeSources()
      try makeLabeller("\(folder)/labeller")
      let scored = """
        prompts: "validation_unique", guidance: [5, 7.5],
        scorers: { pickscore: "\(Self.clip)", clip: "\(Self.clip)", "hpsv2.1": "\(Self.open)" },
        """
      let events = try run(pipeline(folder, scored))
      let report = "\(folder)/workspace/report"
      let summary = try JSONReader(contentsOf: "\(report)/summary.json")
      #expect(try summary["prompts"].elements().count == 2)
      let rows = try summary["scores"].elements()
      let names = try rows.map { "\(try $0.string("scorer")) \(try $0.double("guidance"))" }
      #expect(
        names == [
          "pickscore 5.0", "hpsv2.1 5.0", "clip 5.0", "pickscore 7.5", "hpsv2.1 7.5", "clip 7.5",
        ])
      for row in rows {
        let (after, before) = (try row["model"].double("mean"), try row["against"].double("mean"))
        let difference = try row["difference"].double("mean")
        #expect(abs(difference - (after - before)) < 1e-9 && difference != 0)
        let each = try row["prompt_differences"].elements().map { try $0.double() }
        #expect(each.count == 2 && abs(each.reduce(0, +) / 2 - difference) < 1e-9)
        let wins = try row["win_rate"]
        #expect(try wins.int("wins") + wins.int("ties") + wins.int("losses") == 4)
        let best = try row["best"].elements().map { try $0.double("difference") }
        #expect(best == best.sorted(by: >) && best.count == 2)
        let hasDiversity = try row["model"].optional("diversity") != nil
        #expect(try hasDiversity == (row.string("scorer") == "clip"))
      }
      let drift = try summary["drift"]
      #expect(try drift.double("lora_norm") > 0 && drift.double("share_of_weights") < 1)
      let warnings = try summary["warnings"].elements().map { try $0.string() }
      #expect(
        warnings.count { $0.contains("were labelled by pickscore, so its scores are no") } == 1
          && warnings.count { $0.contains("were labelled by clip") } == 1, "\(warnings)")
      #expect(!warnings.contains { $0.contains("hpsv2.1") })
      let page = try String(contentsOfFile: "\(report)/index.html", encoding: .utf8)
      for text in [
        "Published scores", "Drift from the base model",
        "Prompts that gained most by pickscore, guidance 7.5",
        "Prompts that lost most by pickscore, guidance 5.0", "were labelled by pickscore",
        "hpsv2.1 of each prompt, guidance 5.0, after",
      ] { #expect(page.contains(text), "\(text)") }
      let lines = events.compactMap {
        if case .result("report", let line) = $0 { line } else { nil }
      }
      #expect(lines.contains { $0.hasPrefix("pickscore") && $0.contains("%") }, "\(lines)")

      // Images depend on all of the model.
      let inputs = try JSONReader(contentsOf: "\(folder)/workspace/state/report.json")["inputs"]
        .members().map(\.key)
      for part in ["unet", "vae", "scheduler", "text_encoder", "tokenizer"] {
        #expect(inputs.contains { $0.hasPrefix("model/\(part)/") }, "\(inputs)")
      }

      // Lost scores are computed again; the same pipeline finds nothing to do.
      let kept = "\(report)/scores/clip/001-after-7.5.json"
      let bytes = try RegularFile(path: kept).readAll()
      try FileManager.default.removeItem(atPath: kept)
      #expect(try !run(pipeline(folder, scored)).contains(.upToDate(stage: "report")))
      #expect(try RegularFile(path: kept).readAll() == bytes)
      #expect(try run(pipeline(folder, scored)).contains(.upToDate(stage: "report")))

      // Other scorers and another page leave images and the other scores as they are.
      let fewer = scored.replacingOccurrences(
        of: ", \"hpsv2.1\": \"\(Self.open)\"", with: "")
      let changed = try run(pipeline(folder, fewer + "shown_prompts: 1,"))
      #expect(changed.contains { "\($0)".contains("they depend on: 32") }, "\(changed)")
      func contents() throws -> [String: [UInt8]] {
        try ["pictures", "scores/pickscore", "scores/clip"].reduce(into: [:]) { contents, part in
          for name in try Folders.names(in: "\(report)/\(part)") {
            contents["\(part)/\(name)"] = try RegularFile(path: "\(report)/\(part)/\(name)")
              .readAll()
          }
        }
      }
      let takenOver = try contents()
      try Runner(pipeline(folder, fewer)) { _ in }.run(forced: ["report"])
      #expect(try contents() == takenOver && takenOver.count == 32)
      #expect(try Folders.names(in: "\(report)/scores").sorted() == ["clip", "pickscore"])

      // A split that is not there is named.
      let other = scored.replacingOccurrences(of: "validation_unique", with: "test_unique")
      let message = failure { _ = try run(pipeline(folder, other)) } ?? "accepted"
      #expect(message.contains("test_unique"), "\(message)")
    }
  }

  @Test("a negative LoRA changes the tuned model's images alone, by its weight")
  func negativeLoRA() throws {
    try withTemporaryFolder { folder in
      try MiniatureRun(in: folder).makeSources()
      func images(_ overrides: String...) throws -> (before: RGBImage, after: RGBImage) {
        let run = MiniatureRun(in: folder, overrides: overrides)
        try run.run()
        func image(_ model: String) throws -> RGBImage {
          try RGBImage(
            decoding: try RegularFile(path: "\(run.workspace)/report/pictures/000-0-\(model).png")
              .readAll())
        }
        return (try image("before"), try image("after"))
      }
      let plain = try images()
      let lora = "\(folder)/negative.safetensors"
      try FileManager.default.copyItem(
        atPath: "\(folder)/workspace/spo/pytorch_lora_weights.safetensors", toPath: lora)
      let away = try images("report.negative_lora=\(lora)=20")
      #expect(away.before == plain.before && away.after != plain.after)
      let page = try String(
        contentsOfFile: "\(folder)/workspace/report/index.html", encoding: .utf8)
      #expect(page.contains("Guidance steers the tuned images away from what the LoRA \(lora)=20"))
      // Nothing but the order of sums differs.
      let none = try images("report.negative_lora=\(lora)=0")
      let distance = zip(none.after.pixels, plain.after.pixels).map { abs(Int($0) - Int($1)) }.max()
      #expect((distance ?? 255) <= 1)
    }
  }

  @Test("scorers, summaries and negative LoRAs that cannot be used are refused before any work")
  func refusedAtOnce() throws {
    try withTemporaryFolder { folder in
      try MiniatureRun(in: folder).makeSources()
      try FileManager.default.copyItem(atPath: Self.clip, toPath: "\(folder)/clip")
      let config = "\(folder)/clip/config.json"
      let text = try String(contentsOfFile: config, encoding: .utf8)
      try AtomicFile.replace(
        config,
        with: Array(
          text.replacingOccurrences(of: "\"hidden_size\": ", with: "\"hidden_size\": 1").utf8))
      try AtomicFile.replace("\(folder)/other.json", with: Array("{}".utf8))
      let refused = [
        ("report.scorers={\"clip\": \"\(folder)/clip\"}", "\(folder)/clip"),
        ("spo.held_out_scorers={\"clip\": \"\(folder)/clip\"}", "\(folder)/clip"),
        ("report.beside=[\"\(folder)/other.json\"]", "report.beside"),
        ("report.negative_lora=\(folder)/none.safetensors=0.5", "report.negative_lora"),
      ]
      for (override, part) in refused {
        let run = MiniatureRun(in: folder, overrides: [override])
        let message = failure { try run.run() } ?? "accepted"
        #expect(message.contains(part), "\(override): \(message)")
        #expect(!FileManager.default.fileExists(atPath: "\(run.workspace)/catalog.sqlite"))
      }
    }
  }
}
