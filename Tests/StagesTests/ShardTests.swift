import Catalog
import Checkpoints
import Files
import PipelineCore
import Shards
import TestSupport
import Testing

@Suite struct ShardTests {
  private static let sources = [DataPipeline.train, DataPipeline.validation, "prompts.json"]

  @Test("stopped anywhere and started again, the stages write the bytes of a run in one piece")
  func resumes() throws {
    try DataPipeline.with(Self.sources) { pipeline in
      var pipeline = pipeline
      pipeline.shard["shard_size_mb"] = 0.006
      var whole = pipeline
      whole.workspace = "whole"
      try whole.run()
      let expected = try whole.shardBytes()
      #expect(expected.count > 5)

      let cache = Obstacle(path: "\(pipeline.workspacePath)/cache.sqlite", table: "entry")
      for entry in [3, 14, 33, 39] {
        var stopped = pipeline
        var isAdded = false
        stopped.observe = { event in
          if case .started("encode", _, _) = event, !isAdded {
            isAdded = true
            _ = try? CacheDatabase(path: cache.path)
            try? cache.add(when: "(SELECT count(*) FROM entry) = \(entry)")
          }
        }
        #expect(throws: CatalogError.self) { try stopped.run() }
        try cache.remove()
      }
      // A damaged entry is encoded again.
      try pipeline.run(through: "encode")
      let database = try Database(path: cache.path)
      try database.execute("UPDATE entry SET digest = 'x' || digest WHERE id = 20")
      try pipeline.run()
      #expect(try pipeline.shardBytes() == expected)
      let damaged = try database.rows("SELECT count(*) FROM entry WHERE digest LIKE 'x%'") {
        try $0[0] as Int
      }
      #expect(damaged == [0])

      // A shard that was lost is made again.
      try Folders.remove(
        "\(pipeline.workspacePath)/shards/\(expected.keys.max() ?? "")")
      try pipeline.run()
      #expect(try pipeline.shardBytes() == expected)
    }
  }

  @Test("shards hold every pair once, with its own prompt, labels and images")
  func contents() throws {
    try DataPipeline.with(Self.sources) { pipeline in
      var pipeline = pipeline
      pipeline.shard["shard_size_mb"] = 0.006
      try pipeline.run()
      let catalog = try pipeline.catalog()
      let cache = try CacheDatabase(
        path: "\(pipeline.workspacePath)/cache.sqlite", access: .readOnly)
      let encoder = try #require(cache.usage().first).encoder
      for split in ["train", "validation"] {
        let shards = try pipeline.shards(split)
        #expect(shards.index.splits == ["train", "validation"])
        var number = 0
        try catalog.forEachPromptGroup(inSplit: split) { group in
          for expected in group.pairs {
            let pair = try shards.pair(number)
            let prompt = try shards.prompt(pair.prompt)
            #expect(prompt.text == group.prompt.text)
            #expect(prompt.pairs.contains(number))
            #expect(prompt.isListed == (split == "train"))
            #expect(pair.label0 == Float(expected.label0))
            #expect(pair.label1 == Float(expected.label1))
            #expect(pair.examplesPerPrompt == 4)
            for (image, digest) in [
              (pair.image0, expected.image0.sha256), (pair.image1, expected.image1.sha256),
            ] {
              let value = try cache.value(of: digest ?? "", from: encoder) ?? []
              let halves = value.withUnsafeBytes { Array($0.bindMemory(to: Float16.self)) }
              #expect(try shards.latent(ofImage: image) == halves.map(Float.init))
            }
            number += 1
          }
        }
        #expect(number == shards.pairCount)
      }
      let train = try pipeline.shards("train")
      #expect(train.promptCount == 5)
      #expect(train.imageCount == 30)
      #expect(try train.listedPrompts() == [0, 1, 2, 3, 4])
      #expect(try pipeline.shards("validation").listedPrompts().isEmpty)
      let texts = try (0..<5).map { try train.prompt($0) }
      #expect(texts.first { $0.text == "a listed one" }?.pairs.isEmpty == true)
    }
  }

  @Test("a single split gives a part of its prompts to validation, the same whatever else there is")
  func validationFraction() throws {
    func prompts(_ sources: [String]) throws -> Set<String> {
      try DataPipeline.with(sources) { pipeline in
        var pipeline = pipeline
        pipeline.shard["validation_fraction"] = 0.7
        try pipeline.run()
        let shards = try pipeline.shards("validation")
        let train = try pipeline.shards("train")
        #expect(shards.pairCount + train.pairCount == 24)
        return Set(try (0..<shards.promptCount).map { try shards.prompt($0).text })
      }
    }
    let alone = try prompts([DataPipeline.train])
    let others = try prompts([DataPipeline.train, "prompts.json"])
    #expect(!alone.isEmpty)
    #expect(alone.isSubset(of: others))
  }

  @Test("settings that change no shard change nothing else either, so that what follows stays done")
  func sameShards() throws {
    try DataPipeline.with([DataPipeline.train, DataPipeline.validation]) { pipeline in
      var pipeline = pipeline
      try pipeline.run()
      let folder = "\(pipeline.workspacePath)/shards"
      func bytes() throws -> [[UInt8]] {
        try Folders.names(in: folder).map { try RegularFile(path: "\(folder)/\($0)").readAll() }
      }
      let expected = try bytes()
      pipeline.shard["validation_fraction"] = 0.9
      pipeline.shard["shard_size_mb"] = 300
      try pipeline.run()
      #expect(try bytes() == expected)
    }
  }

  @Test("a shard whose bytes changed is refused by name")
  func damaged() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      try pipeline.run()
      let path = "\(pipeline.workspacePath)/shards/train-00000-of-00001.safetensors"
      var bytes = try RegularFile(path: path).readAll()
      bytes[bytes.count - 5] ^= 1
      try AtomicFile.replace(path, with: bytes)
      let shards = try pipeline.shards("train")
      #expect(throws: ShardError.self) { _ = try shards.pair(0) }
      #expect(throws: ShardError.self) { _ = try pipeline.shards("test") }
    }
  }

  @Test("a shard or index that contradicts itself is refused")
  func contradictions() throws {
    try withTemporaryFolder { folder in
      let layout = ShardLayout(
        latentChannels: 4, latentHeight: 1, latentWidth: 2, tokens: 3, textWidth: 2,
        hasLogVariance: false)
      let half = [UInt8](repeating: 0, count: 12)
      var contents = ShardContents(layout: layout, emptyEmbedding: half)
      contents.addPrompt("äö", isListed: false, inputIDs: [1, 2, 3], embedding: half)
      let image = contents.addImage(latent: [UInt8](repeating: 60, count: 16))
      contents.addPair(image0: image, image1: image, label0: 1, label1: 0, examplesPerPrompt: 3)
      let path = "\(folder)/a.safetensors"
      try contents.write(to: path)
      let reader = try ShardReader(path: path, layout: layout)
      #expect(try reader.prompt(0).text == "äö")
      #expect(try reader.prompt(0).inputIDs == [1, 2, 3])
      #expect(reader.pairs.map(\.examplesPerPrompt) == [3])

      var other = layout
      other.tokens = 4
      #expect(throws: ShardError.self) { _ = try ShardReader(path: path, layout: other) }
      other = layout
      other.pooledText = .init(width: 5, sizes: [8, 16, 0, 0, 8, 16])
      #expect(throws: (any Error).self) { _ = try ShardReader(path: path, layout: other) }
      for (name, integers) in [
        ("pair_prompt", [1]), ("pair_image_0", [-1]), ("pair_image_1", [1]),
        ("prompt_text_offsets", [0, 99]),
      ] {
        try rewrite(path, replacing: name, with: integers, to: "\(folder)/b.safetensors")
        #expect(throws: ShardError.self, "\(name)") {
          _ = try ShardReader(path: "\(folder)/b.safetensors", layout: layout)
        }
      }
      let pooled = #"{"width": 5, "sizes": [8, 16, 0, 0, 8, 16]}"#
      try AtomicFile.replace(
        "\(folder)/index.json", with: Array(validIndex(file: "a", pooled: pooled).utf8))
      #expect(
        try ShardSet(folder: folder, split: "train").layout.pooledText
          == .init(width: 5, sizes: [8, 16, 0, 0, 8, 16]))
      for index in [
        "{}", #"{"format": "spo-shards", "version": 2}"#,
        #"{"format": "spo-shards", "version": 1, "latents": {"shape": [4, 1, 99999999999]}}"#,
        validIndex(file: "../a.safetensors"), validIndex(file: "/etc/passwd"),
        validIndex(file: "a\\u0000"), validIndex(file: ".a"), validIndex(file: ""),
        validIndex(file: "a", split: "../../victim"), validIndex(file: "a", split: ""),
        validIndex(file: "a", pooled: #"{"width": 0, "sizes": [8, 8, 0, 0, 8, 8]}"#),
        validIndex(file: "a", pooled: #"{"width": 5, "sizes": [8, 8, 0, 0, 8]}"#),
        validIndex(file: "a", pooled: #"{"width": 5, "sizes": [8, 8, 0, -1, 8, 8]}"#),
      ] {
        try AtomicFile.replace("\(folder)/index.json", with: Array(index.utf8))
        #expect(throws: (any Error).self, "\(index)") {
          _ = try ShardSet(folder: folder, split: "train")
        }
      }
    }
  }

  private func validIndex(
    file: String, split: String = "train", pooled: String = "null"
  ) -> String {
    """
    {"format": "spo-shards", "version": 1, "fingerprints": {}, "settings": {},
     "latents": {"shape": [4, 1, 2], "scaling_factor": 1, "has_log_variance": false},
     "text": {"tokens": 3, "width": 2, "pooled": \(pooled)}, "shards": [{"file": "\(file)", "split": "\(split)",
     "prompts": 1, "images": 1, "pairs": 1, "bytes": 1, "sha256": ""}]}
    """
  }

  private func rewrite(
    _ path: String, replacing name: String, with integers: [Int], to target: String
  ) throws {
    let file = try SafetensorsFile(path: path)
    let tensors = try file.entries.map { entry in
      let bytes = try file.bytes(entry.name)
      return entry.name == name
        ? OutgoingTensor(name, shape: entry.shape, integers: integers)
        : OutgoingTensor(entry.name, type: entry.type, shape: entry.shape, bytes: { bytes })
    }
    try writeSafetensors(tensors, to: target)
  }
}
