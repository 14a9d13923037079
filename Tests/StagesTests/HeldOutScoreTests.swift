import Autograd
import Diffusion
import Files
import Foundation
import Imaging
import PipelineCore
import PreferenceModels
import ProceduralWorld
import Ranks
import Scorers
import Shards
import StageSupport
import TestSupport
import Testing
import TrainingStages

/// Scores of held-out prompts while stage `spo` learns.
@Suite struct HeldOutScoreTests {
  private static let lora = "spo/pytorch_lora_weights.safetensors"

  private func run(
    in folder: String, _ workspace: String, pipeline: String = "quickstart", _ overrides: [String]
  ) -> MiniatureRun {
    MiniatureRun(
      in: folder, workspace: workspace, pipeline: pipeline,
      overrides: ["spo.iterations=3", "spo.pictures=2"] + overrides)
  }

  private let scored = ["spo.held_out_every=2", "spo.held_out_prompts=2"]

  private func bytes(_ run: MiniatureRun, _ name: String) throws -> [UInt8] {
    try RegularFile(path: "\(run.workspace)/\(name)").readAll()
  }

  private func scores(_ run: MiniatureRun, _ key: String) throws -> [Double?] {
    try String(contentsOfFile: "\(run.workspace)/spo/metrics.jsonl", encoding: .utf8)
      .split(separator: "\n").map {
        try JSONReader(try JSON(parsing: String($0)), path: "metrics").optional(key)?.double()
      }
  }

  @Test(
    "they are logged before, in between and at the end, shown as a curve, and change no LoRA",
    arguments: ["quickstart", "quickstart-latent"])
  func curve(pipeline: String) throws {
    try withTemporaryFolder { folder in
      let plain = run(
        in: folder, "plain", pipeline: pipeline,
        ["spo.held_out_every=null", "spo.held_out_prompts=8", "spo.held_out_oracle=none"])
      try plain.makeSources()
      try plain.run()
      let watched = run(in: folder, "watched", pipeline: pipeline, scored)
      try watched.run()
      #expect(try bytes(watched, Self.lora) == bytes(plain, Self.lora))
      let stage = "\(watched.workspace)/spo"
      let events = try #require(
        try FileManager.default.contentsOfDirectory(atPath: stage).first { $0.hasPrefix("events") }
      )
      let text = String(decoding: try bytes(watched, "spo/\(events)"), as: UTF8.self)
      for name in ["held_out_score", "kl", "kl_by_timestep/1"] {
        #expect(text.contains(name), "\(name)")
      }
      #expect(try scores(plain, "held_out_score") == [nil, nil, nil])
      #expect(try scores(watched, "held_out_score").map { $0 != nil } == [false, true, true])
      #expect(
        try scores(watched, "held_out_score_before").map { $0 != nil } == [true, false, false])
      let title = "Mean score of held-out prompts"
      let page = String(decoding: try bytes(watched, "report/index.html"), as: UTF8.self)
      #expect(page.contains(title) && page.contains("KL divergence"))
      #expect(
        !String(decoding: try bytes(plain, "report/index.html"), as: UTF8.self).contains(title))
    }
  }

  @Test(
    "scores that end lower by more than chance explains are warned of, unless that was asked for")
  func falling() throws {
    func warnings(_ scores: [[Double]], inverted: Bool = false) throws -> [String] {
      let lines = scores.dropFirst().map { score -> JSON.Object in
        var line: JSON.Object = .figures([
          ("loss", 0.5), ("gradient_norm", 1), ("clipped_share", 0), ("updates", 1), ("pairs", 2),
        ])
        (line["updates"], line["pairs"]) = (.integer(1), .integer(2))
        line["steps"] = .array([])
        line["held_out_scores"] = ["preference": .array(score.map { .number($0) })]
        return line
      }
      var first = lines[0]
      first["held_out_scores_before"] = ["preference": .array(scores[0].map { .number($0) })]
      return try TuningFindings([first] + lines.dropFirst(), inverted: inverted).warnings()
    }
    let (low, middle, high) = ([1, 1.2, 0.8], [2, 2.1, 1.9], [3, 3.2, 2.9])
    #expect(try warnings([low, high, middle]).isEmpty)
    #expect(try warnings([middle, high, low], inverted: true).isEmpty)
    // No more than chance.
    #expect(try warnings([middle, high, [2.5, 1, 1.9]]).isEmpty)
    let found = try warnings([middle, high, low])
    #expect(
      found.count == 1
        && found[0].contains("score of held-out images fell from 2 to 1 (standard error"),
      "\(found)")
  }

  @Test("they are the preference model's scores of the images that are shown")
  func values() throws {
    try withTemporaryFolder { folder in
      let run = run(in: folder, "workspace", scored)
      try run.makeSources()
      try run.run(through: "spo")
      let model = try ModelFolder(path: "\(run.workspace)/preference/model").preferenceModel().model
      let shards = try ShardSet.heldOut(in: "\(run.workspace)/shards")
      func score(_ name: String) throws -> Double {
        let row = try RGBImage(decoding: try bytes(run, "spo/pictures/\(name)"))
        let side = row.height
        #expect(row.width == 2 * side)
        func score(of number: Int) throws -> Float {
          var pixels: [Float] = []
          for y in 0..<side {
            let start = 3 * side * (2 * y + number)
            pixels += row.pixels[start..<start + 3 * side].map { Float($0) / 127.5 - 1 }
          }
          let image = Tensor(pixels, shape: [1, side, side, 3])
          let seen = model.imageScorer.embedding(
            of: model.imageScorer.scoringPixels(image), timesteps: [0])
          let text = try model.prompts([shards.prompt(number).inputIDs])
          return model.imageScorer.score(image: seen, text: text).values[0]
        }
        let scores = [try score(of: 0), try score(of: 1)]
        return Double(scores[0] + scores[1]) / 2
      }
      // The images were rounded to 8 bits.
      let before = try #require(try scores(run, "held_out_score_before")[0])
      let after = try #require(try scores(run, "held_out_score")[2])
      #expect(abs(before - after) > 1e-3)
      let (first, last) = (try score("batch-000000.png"), try score("batch-000003.png"))
      #expect((first > last) == (before > after), "\(first) \(last) \(before) \(after)")
      #expect(abs(first - before) < 0.005 && abs(last - after) < 0.005)
    }
  }

  @Test("the oracle's scores are those of the images that are shown, a published scorer's its own")
  func others() throws {
    try withTemporaryFolder { folder in
      let run = run(
        in: folder, "workspace",
        scored + [
          "spo.held_out_oracle=procedural-world",
          "spo.held_out_scorers={\"clip\": \"\(fixturePath("scorers/clip-hf"))\"}",
        ])
      try run.makeSources()
      try run.run()
      let scorer = try Scorer(
        .clipScore, path: fixturePath("scorers/clip-hf"),
        tokenizer: try ModelFolder(path: MiniatureRun.tinyModel).tokenizer())
      let shards = try ShardSet.heldOut(in: "\(run.workspace)/shards")
      for (name, line, suffix) in [("batch-000000", 0, "_before"), ("batch-000003", 2, "")] {
        let row = try RGBImage(decoding: try bytes(run, "spo/pictures/\(name).png"))
        let images = (0..<2).map { number in
          let side = row.height
          return RGBImage(
            width: side, height: side,
            pixels: (0..<side).flatMap { y in
              let start = 3 * side * (2 * y + number)
              return Array(row.pixels[start..<start + 3 * side])
            })
        }
        var expected: [String: [Double]] = ["aesthetics": [], "agreement": [], "clip": []]
        for (number, image) in images.enumerated() {
          let prompt = try shards.prompt(number).text
          let score = OracleScore(
            of: try WorldImage(image, name: "image"), as: try Scene(prompt: prompt))
          expected["aesthetics"]?.append(score.aesthetics)
          expected["agreement"]?.append(score.agreement)
          expected["clip"]? += try scorer([image], prompt: prompt).scores
        }
        for (key, each) in expected {
          let mean = try #require(try scores(run, "held_out_\(key)\(suffix)")[line])
          #expect(abs(mean - (each[0] + each[1]) / 2) < 1e-5, "\(key) \(name)")
        }
      }
      let page = String(decoding: try bytes(run, "report/index.html"), as: UTF8.self)
      for key in ["aesthetics", "agreement", "clip"] {
        #expect(page.contains("Held-out prompts: \(key)"))
      }
    }
  }

  @Test("a scorer that cannot be read is refused before the first batch")
  func unreadable() throws {
    try withTemporaryFolder { folder in
      let run = run(
        in: folder, "workspace", scored + ["spo.held_out_scorers={\"clip\": \"\(folder)\"}"])
      try run.makeSources()
      let message = failure { try run.run(through: "spo") } ?? "accepted"
      #expect(message.contains(folder) && !message.contains("batch 1"), "\(message)")
    }
  }

  @Test("a scorer that falls by more than chance explains is warned of")
  func overOptimization() throws {
    func warnings(_ before: [Double], _ after: [Double], inverted: Bool = false) throws -> [String]
    {
      var line: JSON.Object = .figures([
        ("loss", 0.5), ("gradient_norm", 1), ("clipped_share", 0), ("updates", 1), ("pairs", 2),
      ])
      (line["updates"], line["pairs"]) = (.integer(1), .integer(2))
      line["steps"] = .array([])
      for (key, scores) in [("held_out_scores_before", before), ("held_out_scores", after)] {
        let members: JSON = ["clip": .array(scores.map { .number($0) })]
        line[key] = members
      }
      return try TuningFindings([line], inverted: inverted).warnings()
    }
    let found = try warnings([9, 8, 7, 9], [5, 5, 4, 5])
    #expect(found.count == 1 && found[0].contains("clip of held-out images fell from 8.25 to 4.75"))
    #expect(try warnings([9, 8, 7, 9], [5, 5, 4, 5], inverted: true).isEmpty)
    #expect(try warnings([9, 8, 7, 9], [5, 12, 4, 14]).isEmpty)
    #expect(try warnings([5, 5, 4, 5], [9, 8, 7, 9]).isEmpty)
    #expect(try warnings([5], [3]).isEmpty)
  }

  @Test("a killed run ends with the same log, and ranks log what one process does")
  func sameBytes() throws {
    try withTemporaryFolder { folder in
      let settings = scored + ["spo.checkpoint_every=2", "spo.held_out_oracle=procedural-world"]
      let whole = self.run(in: folder, "whole", settings)
      try whole.makeSources()
      var moments: [MiniatureRun] = []
      try whole.run(through: "spo") { event in
        guard case .advanced(let progress) = event, progress.stage == "spo" else { return }
        let moment = self.run(in: folder, "moment-\(moments.count)", settings)
        try FileManager.default.copyItem(atPath: whole.workspace, toPath: moment.workspace)
        moments.append(moment)
      }
      #expect(moments.count >= 3)
      let ranked = self.run(in: folder, "ranked", settings)
      _ = try ThreadRanks.run(2) { try ranked.run(over: $0, through: "spo") }
      for moment in moments { try moment.run(through: "spo") }
      for other in moments + [ranked] {
        for name in [Self.lora, "spo/metrics.jsonl", "spo/warnings.json"] {
          let expected = try bytes(whole, name)
          #expect(try bytes(other, name) == expected, "\(name), \(other.workspace)")
        }
      }
    }
  }
}
