import Checkpoints
import Diffusion
import Evaluation
import Files
import Foundation
import Imaging
import PipelineCore
import Reporting
import Scorers
import TestSupport
import Testing

/// Whole evaluations of the embedded model by random CLIPs.
@Suite struct EvaluationTests {
  private static let model = ModelFolder(path: fixturePath("../../data/tiny-sd"))
  private static let scorers: [(kind: ScorerKind, path: String)] = [
    (.pickScore, fixturePath("scorers/clip-hf")), (.clipScore, fixturePath("scorers/clip-hf")),
    (.hpsV21, fixturePath("scorers/clip-open/HPS_v2.1_compressed.pt")),
    (.aesthetic2, fixturePath("scorers/clip-hf")),
  ]

  /// A LoRA file of one layer of the embedded model.
  ///
  /// - Parameter size: of its matrices' numbers; 0 changes nothing
  private func lora(in folder: String, size: Float) throws -> String {
    let layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_q"
    let unet = try Self.model.checkpoint("unet", stem: "diffusion_pytorch_model")
    let shape = try unet.entry("\(layer).weight").shape
    func matrix(_ name: String, _ shape: [Int], _ size: Float) -> OutgoingTensor {
      let values = (0..<shape[0] * shape[1]).map { Float($0 % 7 - 3) * size }
      return OutgoingTensor(
        "unet.\(layer).\(name).weight", type: .f32, shape: shape,
        bytes: { values.withUnsafeBytes { Array($0) } })
    }
    let path = "\(folder)/lora-\(size).safetensors"
    try writeSafetensors(
      [matrix("lora_A", [2, shape[1]], 1), matrix("lora_B", [shape[0], 2], size)], to: path)
    return path
  }

  private func request(
    in folder: String, lora: String?, against: EvaluatedModel? = EvaluatedModel(model)
  ) throws -> EvaluationRequest {
    let prompts = "\(folder)/prompts.txt"
    try "a red circle in the middle , light background\na blue square\na green star\n".write(
      toFile: prompts, atomically: true, encoding: .utf8)
    var request = EvaluationRequest(
      model: EvaluatedModel(Self.model, loraPaths: lora.map { [$0] } ?? []), against: against,
      prompts: try PromptList(path: prompts), scorers: Self.scorers, folder: "\(folder)/out")
    request.imagesPerPrompt = 2
    request.steps = 2
    return request
  }

  @Test("a negative LoRA is named with its weight, and makes a model of its own")
  func negativeLoRA() throws {
    #expect(NegativeLoRA("a=b.safetensors") == NegativeLoRA(path: "a=b.safetensors", weight: 1))
    #expect(NegativeLoRA("a.safetensors=0.5") == NegativeLoRA(path: "a.safetensors", weight: 0.5))
    #expect(NegativeLoRA("a=b=-1") == NegativeLoRA(path: "a=b", weight: -1))
    #expect(NegativeLoRA("a=nan").path == "a=nan")
    try withTemporaryFolder { folder in
      let lora = try lora(in: folder, size: 0.05)
      var request = try request(in: folder, lora: nil)
      request.model.negativeLoRAs = [NegativeLoRA(path: lora, weight: 0.5)]
      let result = try Evaluation(request).run()
      let images = try images(folder)
      #expect(images.count == 12 && Set(images.values).count == 12)
      let json = result.json.text()
      #expect(json.contains("\"negative_lora_weight\":[0.5]"))
      // Nothing is added to the conditional half; the unconditional one alone would be a LoRA at guidance 0.
      request.model.negativeLoRAs[0].weight = 1
      _ = try Evaluation(request).run()
      #expect(try self.images(folder).count == 18)
    }
  }

  private func images(_ folder: String) throws -> [String: Data] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/out/images")
    return try Dictionary(
      uniqueKeysWithValues: names.filter { $0.hasSuffix(".png") }.map {
        ($0, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out/images/\($0)")))
      })
  }

  @Test("a LoRA against its base: figures, files, and the page")
  func comparison() throws {
    try withTemporaryFolder { folder in
      var request = try request(in: folder, lora: try lora(in: folder, size: 0.5))
      request.guidance = [5, 7.5]
      let result = try Evaluation(request).run()
      #expect(result.rows.count == 2 * Self.scorers.count)
      #expect(try images(folder).count == 2 * 2 * 3 * 2)
      let json = try JSONReader(contentsOf: "\(folder)/out/evaluation.json")
      #expect(json.value == result.json)
      #expect(try json.int("prompt_count") == 3)
      for row in try json["results"].elements() {
        let (mine, theirs) = (try row["model"].double("mean"), try row["against"].double("mean"))
        #expect(abs(try row["difference"].double("mean") - (mine - theirs)) < 1e-9)
        let wins = try row["win_rate"]
        #expect(try wins.int("wins") + wins.int("ties") + wins.int("losses") == 6)
        #expect(try row["best"].elements().count == 3)
        let hasDiversity = try row["model"].optional("diversity") != nil
        #expect(try hasDiversity == (row.string("scorer") == "clip"))
      }
      // Every image stands where the file says, with its seed.
      let first = try #require(try json["images"].elements().first)
      #expect(try first.int("seed") == 42)
      let file = try first["model"].string("file")
      #expect(FileManager.default.fileExists(atPath: "\(folder)/out/\(file)"))
      let page = try String(contentsOfFile: "\(folder)/out/index.html", encoding: .utf8)
      #expect(page.contains(/Prompts that (gained most|lost least) by pickscore, guidance 7.5/))
      #expect(result.lines.count == result.rows.count + 2)
    }
  }

  @Test("a LoRA that changes nothing neither wins nor loses")
  func ties() throws {
    try withTemporaryFolder { folder in
      let result = try Evaluation(
        try request(in: folder, lora: try lora(in: folder, size: 0))
      ).run()
      for row in result.rows {
        let comparison = try #require(row.comparison)
        #expect(comparison.differences == [0, 0, 0])
        #expect(comparison.winRate.ties == 6)
        #expect(comparison.winRate.rate == 0.5)
      }
    }
  }

  @Test(
    "an evaluation goes on where it was, and generates a base model's images once for all LoRAs")
  func resumption() throws {
    try withTemporaryFolder { folder in
      let first = try request(in: folder, lora: try lora(in: folder, size: 0.5))
      let whole = try Evaluation(first).run().json
      let generated = try images(folder)
      let lost = try #require(generated.keys.sorted().last)
      try FileManager.default.removeItem(atPath: "\(folder)/out/images/\(lost)")
      var count = 0
      let again = try Evaluation(first) { if $0.unit == "images" { count += 1 } }.run()
      #expect(count == 1)
      #expect(again.json == whole)
      #expect(try images(folder) == generated)

      count = 0
      let other = try request(in: folder, lora: try lora(in: folder, size: 0.25))
      _ = try Evaluation(other) { if $0.unit == "images" { count += 1 } }.run()
      #expect(count == 6)
    }
  }

  @Test("parts generate and score each prompt once, and the whole finds what one run finds")
  func parts() throws {
    try withTemporaryFolder { folder in
      try withTemporaryFolder { other in
        let lora = try lora(in: folder, size: 0.5)
        var whole = try request(in: folder, lora: lora)
        whole.guidance = [5, 7.5]
        var parts = try request(in: other, lora: lora)
        parts.guidance = [5, 7.5]
        parts.prompts = whole.prompts
        let expected = try Evaluation(whole).run().json
        for (index, share) in [(2, 1), (1, 2), (2, 1)] {
          #expect(try Evaluation(parts).run(Partition(index: index, of: 2)) == share)
        }
        // More parts than prompts: one has nothing to do.
        #expect(try Evaluation(parts).run(Partition(index: 4, of: 4)) == 0)
        #expect(!FileManager.default.fileExists(atPath: "\(other)/out/evaluation.json"))
        #expect(!FileManager.default.fileExists(atPath: "\(other)/out/lock"))
        #expect(try images(other) == images(folder))
        func files(_ folder: String) throws -> [String: Date?] {
          let manager = FileManager.default
          return try Dictionary(
            uniqueKeysWithValues: manager.subpathsOfDirectory(atPath: "\(folder)/out").filter {
              $0.hasPrefix("scores/") || $0.hasPrefix("images/")
            }.map {
              let attributes = try manager.attributesOfItem(atPath: "\(folder)/out/\($0)")
              return ($0, attributes[.modificationDate] as? Date)
            })
        }
        let made = try files(other)
        #expect(try Evaluation(parts).run().json == expected)
        #expect(try files(other) == made)
      }
    }
  }

  @Test("one model alone has means and no comparison")
  func alone() throws {
    try withTemporaryFolder { folder in
      let result = try Evaluation(try request(in: folder, lora: nil, against: nil)).run()
      #expect(result.rows.allSatisfy { $0.comparison == nil && $0.model.interval != nil })
    }
  }

  @Test("a scorer that cannot be read is refused before anything is generated")
  func refusalBeforeWork() throws {
    try withTemporaryFolder { folder in
      var request = try request(in: folder, lora: try lora(in: folder, size: 0.5))
      // There is no predictor beside this CLIP.
      request.scorers.append((.aesthetic1, fixturePath("scorers/clip-open/HPS_v2.1_compressed.pt")))
      #expect(throws: (any Error).self) { try Evaluation(request).run() }
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/out/images"))
    }
  }

  @Test("a comparison with itself, a folder of others and a damaged image are refused")
  func refusals() throws {
    try withTemporaryFolder { folder in
      let same = try request(in: folder, lora: nil)
      #expect(throws: EvaluationError.self) { try Evaluation(same).run() }
    }
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/out", withIntermediateDirectories: true)
      try "mine".write(toFile: "\(folder)/out/notes.txt", atomically: true, encoding: .utf8)
      let request = try request(in: folder, lora: nil, against: nil)
      #expect(
        throws: EvaluationError.foreignFolder(path: "\(folder)/out", holds: "notes.txt")
      ) { try Evaluation(request).run() }
      // Nor does it write among the images of spo sample.
      try FileManager.default.removeItem(atPath: "\(folder)/out/notes.txt")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/out/state", withIntermediateDirectories: true)
      try "{}".write(toFile: "\(folder)/out/state/images.json", atomically: true, encoding: .utf8)
      #expect(
        throws: EvaluationError.foreignFolder(path: "\(folder)/out", holds: "state/images.json")
      ) { try Evaluation(request).run() }
    }
    try withTemporaryFolder { folder in
      let request = try request(in: folder, lora: nil, against: nil)
      _ = try Evaluation(request).run()
      let name = try #require(try images(folder).keys.sorted().first)
      let path = "\(folder)/out/images/\(name)"
      try Data("no image".utf8).write(to: URL(fileURLWithPath: path))
      #expect { try Evaluation(request).run() } throws: { "\($0)".contains(name) }
    }
  }
}
