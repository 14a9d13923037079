import Catalog
import Checkpoints
import Files
import Foundation
import PipelineCore
import Shards
import TestSupport
import Testing

@Suite struct EncodeTests {
  @Test("latents, embeddings and ids are those of diffusers and transformers")
  func matchesPeers() throws {
    let expected = try SafetensorsFile(path: fixturePath("stages/expected.safetensors"))
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      pipeline.shard["validation_fraction"] = 0
      pipeline.encode["latents"] = "mean+logvar"
      try pipeline.run()
      let shards = try pipeline.shards("train")
      let uids = try pairedImages(pipeline)
      #expect(shards.pairCount == 24)
      for number in 0..<shards.pairCount {
        let pair = try shards.pair(number)
        let text = try shards.prompt(pair.prompt).text
        for (image, uid) in zip([pair.image0, pair.image1], uids[number]) {
          expectClose(
            try shards.latent(ofImage: image), try expected.floats("mean \(uid)"), 2e-3)
          expectClose(
            try shards.logVariance(ofImage: image) ?? [], try expected.floats("logvar \(uid)"),
            2e-3)
        }
        expectClose(
          try shards.embedding(ofPrompt: pair.prompt), try expected.floats("embedding \(text)"),
          2e-3)
        #expect(try shards.prompt(pair.prompt).inputIDs == expected.integers("ids \(text)"))
      }
      expectClose(try shards.emptyEmbedding(), try expected.floats("embedding "), 2e-3)
    }
  }

  @Test(
    "of a model with two text encoders come joined states, pooled text, and zeros for no prompt")
  func twoTextEncoders() throws {
    let expected = try SafetensorsFile(path: fixturePath("sample-xl/prompts.safetensors"))
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      pipeline.model = fixturePath("sample-xl/model")
      pipeline.encode["size"] = nil
      pipeline.shard["validation_fraction"] = 0
      try pipeline.run()
      let shards = try pipeline.shards("train")
      #expect(shards.layout.latentShape == [4, 8, 8])
      #expect(shards.layout.embeddingShape == [24, 10])
      #expect(shards.layout.pooledText == .init(width: 5, sizes: [16, 16, 0, 0, 16, 16]))
      for number in 0..<shards.promptCount {
        let text = try shards.prompt(number).text
        expectClose(
          try shards.embedding(ofPrompt: number), try expected.floats("embedding \(text)"), 2e-3)
        expectClose(
          try shards.pooledText(ofPrompt: number) ?? [], try expected.floats("pooled \(text)"),
          2e-3)
      }
      #expect(try shards.emptyEmbedding().allSatisfy { $0 == 0 })
      #expect(try shards.emptyPooledText() == [0, 0, 0, 0, 0])

      // What stands for the empty prompt is the folder's word, and encodes nothing anew.
      let model = "\(pipeline.folder)/model"
      try FileManager.default.copyItem(atPath: pipeline.model, toPath: model)
      try AtomicFile.replace(
        "\(model)/model_index.json", with: Array(#"{"force_zeros_for_empty_prompt": false}"#.utf8))
      pipeline.model = model
      #expect(try announced(pipeline).hasPrefix("0 images to encode (30 reused)"))
      try pipeline.run()
      let encoded = try pipeline.shards("train")
      expectClose(try encoded.emptyEmbedding(), try expected.floats("embedding "), 2e-3)
      expectClose(try encoded.emptyPooledText() ?? [], try expected.floats("pooled "), 2e-3)
    }
  }

  /// The identities of the two images of each pair, in the shards' order.
  private func pairedImages(_ pipeline: DataPipeline) throws -> [[String]] {
    var uids: [[String]] = []
    try pipeline.catalog().forEachPromptGroup(inSplit: "train") { group in
      uids += group.pairs.map { [$0.image0.uid, $0.image1.uid] }
    }
    return uids
  }

  private func expectClose(_ found: [Float], _ expected: [Float], _ tolerance: Float) {
    #expect(found.count == expected.count)
    let scale = max(1, expected.map(abs).max() ?? 1)
    let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
    #expect(worst <= tolerance * scale)
  }

  @Test("nothing is encoded twice, whatever else changes; another size fills entries of its own")
  func reuses() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      let text = try announced(pipeline)
      #expect(text == "30 images to encode (0 reused), 15.4 kB")
      pipeline.ingest["ties"] = "drop"
      #expect(try announced(pipeline).hasPrefix("0 images to encode (2"))
      pipeline.encode["size"] = 32
      #expect(try announced(pipeline).contains("images to encode (0 reused)"))
      pipeline.encode["size"] = 16
      #expect(try announced(pipeline).hasPrefix("0 images to encode"))
      let usage = try CacheDatabase(
        path: "\(pipeline.workspacePath)/cache.sqlite", access: .readOnly
      ).usage()
      #expect(usage.map(\.encoder.shape) == [[4, 8, 8], [24, 8], [4, 16, 16]])
    }
  }

  private func announced(_ pipeline: DataPipeline) throws -> String {
    let lines = try pipeline.run(through: "encode").compactMap { event in
      if case .said("encode", let text) = event { text } else { nil }
    }
    return try #require(lines.first)
  }

  @Test("an image that cannot be decoded costs its pairs; another model or setting gives them back")
  func rejectsImages() throws {
    try withTemporaryFolder { folder in
      let good = try samplePNG(0)
      var rows = try (0..<4).map {
        Row(first: ("a\($0)", try samplePNG(2 * $0)), second: ("b\($0)", try samplePNG(2 * $0 + 1)))
      }
      rows[2].second.bytes = Array(good.prefix(good.count - 30))
      try write(rows, to: "\(folder)/train.parquet")
      var pipeline = try DataPipeline(in: folder, sources: ["train.parquet"])
      pipeline.ingest["check_images"] = "header"
      pipeline.encode["max_reject_fraction"] = 1
      try pipeline.run(through: "encode")
      let catalog = try pipeline.catalog()
      #expect(try catalog.rejectionCountsByCode(stage: "encode") == ["unreadable-image": 1])
      #expect(try catalog.counts().pairs == 3)
      let column = try catalog.database.firstRow("SELECT row, column_name FROM reject") {
        "\(try $0[0] as Int) \(try $0[1] as String)"
      }
      #expect(column == "2 jpg_1")

      pipeline.model = try modelWithHugeLatents(in: folder)
      try pipeline.run(through: "encode")
      #expect(
        try pipeline.catalog().rejectionCountsByCode(stage: "encode") == [
          "non-finite-latent": 3, "unreadable-image": 1,
        ])
      pipeline.model = fixturePath("sample/model")
      try pipeline.run(through: "encode")
      #expect(try pipeline.catalog().counts().pairs == 3)
    }
  }

  /// The fixtures' model, whose autoencoder gives numbers beyond half precision.
  private func modelWithHugeLatents(in folder: String) throws -> String {
    let model = "\(folder)/huge"
    try FileManager.default.copyItem(atPath: fixturePath("sample/model"), toPath: model)
    let path = "\(model)/vae/diffusion_pytorch_model.safetensors"
    let weights = try SafetensorsFile(path: path)
    let tensors = try weights.entries.map { entry in
      let scale: Float = entry.name.hasPrefix("quant_conv") ? 1e12 : 1
      let values = try weights.floats(entry.name).map { $0 * scale }
      return OutgoingTensor(entry.name, shape: entry.shape, floats: { values })
    }
    try writeSafetensors(tensors, to: path)
    return model
  }

  @Test("a changed source is noticed before its images are taken for those that were catalogued")
  func changedSource() throws {
    try DataPipeline.with(["records.jsonl", "pictures"]) { pipeline in
      try pipeline.run(through: "ingest")
      let path = "\(pipeline.folder)/pictures/image-0-2-b"
      try AtomicFile.replace(path, with: try samplePNG(5))
      #expect(failure { try pipeline.run() }?.contains("pictures/image-0-2-b") == true)
    }
  }
}
