import Checkpoints
import Diffusion
import Files
import TestSupport
import Testing

/// The published models, by their names and shapes (`Tests/Fixtures/original/generate.py`).
@Suite("Checkpoints in the original layout")
struct LDMCheckpointTests {
  /// The numbers of `Shapes` are never read.
  private struct Shapes: CheckpointSource {
    let path = "model.safetensors"
    let entries: [TensorEntry]
    let metadata: [String: String]
    private let byName: [String: TensorEntry]

    init(
      _ tensors: JSONReader, marks: [String] = [], metadata: [String: String] = [:],
      without dropped: (String) -> Bool = { _ in false }
    ) throws {
      self.metadata = metadata
      let named = try tensors.members().filter { !dropped($0.0) }.map { ($0, try $1.ints()) }
      entries = try (named + marks.map { ($0, []) }).map { name, shape in
        try #require(TensorEntry(name: name, type: .f16, shape: shape))
      }.sorted { $0.name < $1.name }
      byName = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0) })
    }

    func find(_ name: String) -> TensorEntry? { byName[name] }

    func read(_ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) {}
  }

  private func fixture(_ family: String) throws -> JSONReader {
    try JSONReader(contentsOf: fixturePath("original/\(family).json"))
  }

  @Test(
    "every weight of the published models has its place under diffusers' name and shape",
    arguments: ["sd15", "sd21", "sdxl"])
  func names(family: String) throws {
    let fixture = try fixture(family)
    let checkpoint = try LDMCheckpoint(try Shapes(fixture["tensors"]))
    for (part, weights) in try fixture["parts"].members() {
      let found = try #require(try checkpoint.part(part))
      let expected = try weights.members()
      #expect(found.entries.count == expected.count)
      for (name, shape) in expected {
        let entry = try found.entry(name)
        // Attention of the autoencoder is a convolution of 1 x 1 there, a linear layer here.
        var extents = entry.shape
        while extents.count > (try shape.ints().count), extents.last == 1 { extents.removeLast() }
        #expect(try extents == shape.ints(), "\(name)")
      }
    }
  }

  @Test(
    "the published configurations are told from the shapes", arguments: ["sd15", "sd21", "sdxl"])
  func configurations(family: String) throws {
    let fixture = try fixture(family)
    let checkpoint = try LDMCheckpoint(try Shapes(fixture["tensors"]))
    let expected = try fixture["configurations"]
    #expect(
      try UNetConfiguration(checkpoint.configuration("unet"))
        == UNetConfiguration(expected["unet"]))
    #expect(
      try AutoencoderConfiguration(checkpoint.configuration("vae"))
        == AutoencoderConfiguration(expected["vae"]))
    for part in ["text_encoder", "text_encoder_2"] {
      guard let published = try expected.optional(part) else { continue }
      #expect(
        try CLIPTextConfiguration(checkpoint.configuration(part))
          == CLIPTextConfiguration(published))
    }
  }

  @Test("Stable Diffusion 2 predicts velocities at 768 pixels unless it is marked otherwise")
  func version2() throws {
    let tensors = try fixture("sd21")["tensors"]
    for (marks, prediction, side) in [
      ([:], PredictionType.velocity, 96), (["modelspec.prediction_type": "v"], .velocity, 96),
      (["modelspec.prediction_type": "epsilon"], .noise, 64),
    ] as [([String: String], PredictionType, Int)] {
      let checkpoint = try LDMCheckpoint(try Shapes(tensors, metadata: marks))
      let scheduler = SchedulerConfig(try checkpoint.configuration("scheduler"))
      #expect(try scheduler.predictionType() == prediction)
      #expect(try checkpoint.configuration("unet").int("sample_size") == side)
      #expect((checkpoint.assumption != nil) == marks.isEmpty)
    }
  }

  @Test("query, key and value are parts of one tensor, the projection is transposed")
  func parts() throws {
    let tensors: [(String, [Int])] = [
      ("model.diffusion_model.out.2.weight", [1]),
      ("conditioner.embedders.1.model.token_embedding.weight", [9, 2]),
      ("conditioner.embedders.1.model.transformer.resblocks.3.attn.in_proj_weight", [6, 2]),
      ("conditioner.embedders.1.model.text_projection", [2, 3]),
    ]
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.safetensors"
      try writeSafetensors(
        tensors.map { name, shape in
          OutgoingTensor(
            name, type: .f16, shape: shape,
            floats: { (0..<shape.reduce(1, *)).map { Float($0) } })
        }, to: path)
      let checkpoint = try LDMCheckpoint(try SafetensorsFile(path: path))
      let text = try #require(try checkpoint.part("text_encoder_2"))
      let layer = "text_model.encoder.layers.3.self_attn"
      #expect(try text.floats("\(layer).q_proj.weight") == [0, 1, 2, 3])
      #expect(try text.floats("\(layer).k_proj.weight") == [4, 5, 6, 7])
      #expect(try text.floats("\(layer).v_proj.weight") == [8, 9, 10, 11])
      #expect(try text.entry("text_projection.weight").shape == [3, 2])
      #expect(try text.floats("text_projection.weight") == [0, 3, 1, 4, 2, 5])
    }
  }

  @Test("a checkpoint takes its tokenizers from a folder; the second pads with an exclamation mark")
  func tokenizers() throws {
    let model = fixturePath("sample-xl/model")
    let text = "a red ! circle!"
    for folder in [model, "\(model)/tokenizer"] {
      let file = ModelFolder(path: "model.safetensors", tokenizer: folder)
      for part in ["tokenizer", "tokenizer_2"] {
        #expect(
          try file.tokenizer(part).encode(text)
            == Tokenizer(folder: "\(model)/\(part)").encode(text), "\(part) of \(folder)")
      }
    }
  }

  @Test("what is no such checkpoint is refused, and what it lacks is named")
  func refusals() throws {
    let tensors = try fixture("sd15")["tensors"]
    #expect(throws: LDMCheckpointError.otherLayout(path: "model.safetensors")) {
      try LDMCheckpoint(try Shapes(tensors) { $0.hasPrefix("model.") })
    }
    #expect(throws: LDMCheckpointError.otherFamily(path: "model.safetensors")) {
      try LDMCheckpoint(try Shapes(tensors) { $0.hasPrefix("cond_stage_model.") })
    }
    let checkpoint = try LDMCheckpoint(
      try Shapes(tensors) { $0.hasSuffix("input_blocks.1.0.in_layers.2.weight") })
    #expect(throws: CheckpointError.self) { try checkpoint.configuration("unet") }
    let pruned = try LDMCheckpoint(try Shapes(tensors) { $0.hasPrefix("first_stage_model.") })
    #expect(try pruned.part("vae") == nil && pruned.part("unet") != nil)
    #expect(throws: LDMCheckpointError.lacksAutoencoder(path: "model.safetensors")) {
      try pruned.configuration("vae")
    }
    let file = ModelFolder(path: fixturePath("safetensors/mixed.safetensors"))
    #expect(throws: LDMCheckpointError.otherLayout(path: file.path)) { try file.unet() }
    #expect(throws: LDMCheckpointError.noTokenizer(path: file.path)) {
      try file.tokenizer()
    }
  }

  @Test("marks of the prediction and of the schedule are obeyed", arguments: ["sd15", "sdxl"])
  func marks(family: String) throws {
    let tensors = try fixture(family)["tensors"]
    func scheduler(
      _ marks: [String] = [], _ metadata: [String: String] = [:]
    ) throws -> SchedulerConfig {
      let checkpoint = try LDMCheckpoint(
        try Shapes(tensors, marks: marks, metadata: metadata))
      let config = SchedulerConfig(try checkpoint.configuration("scheduler"))
      try config.requireKnownProcess()
      return config
    }
    #expect(try scheduler().predictionType() == .noise)
    #expect(try scheduler(["v_pred"]).predictionType() == .velocity)
    let whole = try DDIMScheduler(scheduler(["v_pred", "ztsnr"]))
    #expect(whole.schedule.alphaBar.last == 0 && whole.predictionType == .velocity)
    for (key, text, prediction) in [
      ("modelspec.prediction_type", "v", PredictionType.velocity),
      ("modelspec.prediction_type", "epsilon", .noise),
      ("modelspec.predict_key", "v_prediction", .velocity),
      ("modelspec.prediction_type", "sample", .x0), ("modelspec.prediction_type", "", .noise),
    ] {
      #expect(try scheduler([], [key: text]).predictionType() == prediction)
    }
    #expect(
      try scheduler(["v_pred"], ["modelspec.prediction_type": "V"]).predictionType() == .velocity)
  }

  @Test(
    "marks of other processes, unknown and contradictory ones are refused by name",
    arguments: [
      (["edm_mean", "edm_std"], [:], "tensor edm_mean marks"),
      (["edm_vpred.sigma_max"], [:], "tensor edm_vpred.sigma_max marks"),
      ([], ["modelspec.prediction_type": "flow"], "modelspec.prediction_type \"flow\" marks"),
      (
        ["v_pred"], ["modelspec.prediction_type": "epsilon"],
        "tensor v_pred and modelspec.prediction_type \"epsilon\" contradict"
      ),
    ] as [([String], [String: String], String)])
  func refusedMarks(marks: [String], metadata: [String: String], mention: String) throws {
    let tensors = try fixture("sdxl")["tensors"]
    let error = try #require(
      #expect(throws: CheckpointMarkError.self) {
        try LDMCheckpoint(try Shapes(tensors, marks: marks, metadata: metadata))
      })
    #expect("\(error)".hasPrefix("model.safetensors: \(mention)"), "\(error)")
  }
}
