import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PipelineCore
import PreferenceModels
import Stages
import TestSupport
import Testing

/// A model in one file of the original layout, and a preference model that is given, go the whole way.
@Suite struct CheckpointFileTests {
  private static let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// A tiny model of random weights.
  ///
  /// - Parameters:
  ///   - shapes: of tensors that differ from the fixture's
  ///   - metadata: of the header
  ///   - dropped: names of tensors that it lacks
  private func writeCheckpoint(
    _ path: String, seed: UInt64, prefix: String = "", shapes: [String: [Int]] = [:],
    metadata: [String: String] = [:], without dropped: (String) -> Bool = { _ in false }
  ) throws {
    let fixture = try JSONReader(contentsOf: fixturePath("original/tiny.json"))
    var random = Sequence(state: seed)
    var tensors: [OutgoingTensor] = []
    for (name, value) in try fixture["tensors"].members() where !dropped(name) {
      let shape = try shapes[name] ?? value.ints()
      let count = shape.reduce(1, *)
      let bound = 1 / Float(max(1, count / (shape.first ?? 1))).squareRoot()
      let floats = (0..<count).map { _ -> Float in
        guard shape.count > 1 else { return name.hasSuffix("weight") ? 1 : 0 }
        return Float.random(in: -bound...bound, using: &random)
      }
      tensors.append(OutgoingTensor(prefix + name, shape: shape, floats: { floats }))
    }
    try writeSafetensors(tensors, metadata: metadata, to: path)
  }

  @Test("a file without a VAE takes one that fits, and is whole with it; its damage is found")
  func withoutAutoencoder() throws {
    let tokenizer = "\(Self.repository)/data/tiny-sd/tokenizer"
    func isOfAutoencoder(_ name: String) -> Bool { name.hasPrefix("first_stage_model.") }
    try withTemporaryFolder { folder in
      let (whole, path) = ("\(folder)/whole.safetensors", "\(folder)/pruned.safetensors")
      try writeCheckpoint(whole, seed: 3)
      try writeCheckpoint(path, seed: 3, without: isOfAutoencoder)
      let pruned = ModelFolder(path: path, tokenizer: tokenizer)
      let refusal = LDMCheckpointError.lacksAutoencoder(path: path)
      #expect(throws: refusal) { try pruned.check() }
      let lora = LoRAWeights(trained: AdapterSet())
      #expect(throws: refusal) {
        try pruned.writeMerged(lora, precision: .f32, to: "\(folder)/merged")
      }

      // The same model, from one file or from two.
      let given = ModelFolder(path: path, tokenizer: tokenizer, vae: whole)
      try given.check()
      try given.writeMerged(lora, precision: .f32, to: "\(folder)/merged")
      let merged = ModelFolder(path: "\(folder)/merged")
      try merged.check()
      let vae = "diffusion_pytorch_model.safetensors"
      let found = try SafetensorsFile(path: "\(folder)/merged/vae/\(vae)")
      let own = ModelFolder(path: whole, tokenizer: tokenizer)
      for parameter in try own.autoencoder().weights.parameters {
        #expect(try found.floats(parameter.name) == parameter.storedValues)
      }

      let config = "\(folder)/merged/vae/config.json"
      try editJSON(config, ["scaling_factor": 0.13025])
      let other = ModelFolder(path: path, tokenizer: tokenizer, vae: "\(folder)/merged")
      let error = try #require(#expect(throws: ConfigurationError.self) { try other.check() })
      #expect("\(error)".contains("scaling_factor is 0.13025, but 0.18215"), "\(error)")

      #expect(pruned.problems().isEmpty)
      try writeCheckpoint(path, seed: 3) {
        isOfAutoencoder($0) || $0.contains("output_blocks.2.0.in_layers.2.weight")
      }
      #expect(pruned.problems().count == 1)
    }
  }

  @Test("a file whose parts do not fit, or of another process, is refused by its shapes and marks")
  func misfits() throws {
    let tokenizer = "\(Self.repository)/data/tiny-sd/tokenizer"
    let input = "model.diffusion_model.input_blocks.0.0.weight"
    let output = "model.diffusion_model.out.2.weight"
    let fixture = try JSONReader(contentsOf: fixturePath("original/tiny.json"))["tensors"]
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      let file = ModelFolder(path: path, tokenizer: tokenizer)
      try writeCheckpoint(path, seed: 3)
      try file.check()
      var (inpainting, variance) = (try fixture.ints(input), try fixture.ints(output))
      inpainting[1] = 9
      variance[0] = 8
      for (shapes, mention) in [
        (
          [input: inpainting],
          "(unet): in_channels is 9, but the autoencoder's latents have 4"
        ),
        ([output: variance], "(unet): out_channels is 8, but the autoencoder's latents have 4"),
      ] {
        try writeCheckpoint(path, seed: 3, shapes: shapes)
        let error = try #require(#expect(throws: ConfigurationError.self) { try file.check() })
        #expect("\(error)".hasPrefix("\(path) \(mention)"), "\(error)")
      }
      try writeCheckpoint(path, seed: 3, metadata: ["modelspec.prediction_type": "flow"])
      #expect(throws: CheckpointMarkError.self) { try file.check() }
      try writeCheckpoint(path, seed: 3, metadata: ["modelspec.prediction_type": "v"])
      #expect(try file.check().scheduler.predictionType() == .velocity)
    }
  }

  private func run(_ run: MiniatureRun, _ overrides: [String]) throws -> [RunEvent] {
    let stages = """
      { ingest: { source: "\(run.folder)/*.parquet" }, encode: { size: 32, batch: 4 }, shard: {},
        spo: { preference: "\(run.folder)/judge", iterations: 1, batch: 1, sampling_steps: 3,
          divert_step: 1, candidates: 2, threshold: 0, pictures: 1, rank: 2 },
        export: { name: "soft" },
        report: { prompts: "\(run.folder)/prompts.json", pictures_per_prompt: 1,
          sampling_steps: 1 } }
      """
    let text = """
      { workspace: "\(run.workspace)", model: "\(run.folder)/model.safetensors",
        stages: \(stages) }
      """
    let path = "\(run.folder)/pipeline.json5"
    try AtomicFile.replace(path, with: Array(text.utf8))
    let pipeline = try Pipeline(path: path, stages: stageTypes, overrides: overrides)
    var events: [RunEvent] = []
    try Runner(pipeline) { events.append($0) }.run()
    return events
  }

  @Test("a .ckpt holds the weights below state_dict")
  func trainingCheckpoint() throws {
    try withTemporaryFolder { folder in
      let plain = "\(folder)/model.safetensors"
      let ofTraining = "\(folder)/model.ckpt"
      try writeCheckpoint(plain, seed: 3)
      // A file's content decides its kind: this one need not be torch's.
      try writeCheckpoint(ofTraining, seed: 3, prefix: "state_dict.")
      let images = try [plain, ofTraining].map { path in
        try ModelFolder(path: path).autoencoder().model.decoder(
          .init(repeating: 0.5, shape: [1, 2, 2, 4])
        ).values
      }
      #expect(images[0] == images[1])
      #expect(ModelFolder(path: ofTraining).isFile)
    }
  }

  @Test("a pipeline tunes a checkpoint file with a preference model that is given")
  func wholeWay() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      try writeCheckpoint("\(folder)/model.safetensors", seed: 3)
      try writeFreshPreferenceModel("\(folder)/judge")
      #expect(throws: LDMCheckpointError.self) { try self.run(run, []) }

      let tokenizer = "\(Self.repository)/data/tiny-sd/tokenizer"
      let overrides = ["tokenizer=\(tokenizer)"]
      _ = try self.run(run, overrides)
      let merged = ModelFolder(path: "\(run.workspace)/export/merged")
      let file = ModelFolder(path: "\(folder)/model.safetensors", tokenizer: tokenizer)
      let ids = [try merged.tokenizer().encode("a red circle")]
      #expect(try ids == [file.tokenizer().encode("a red circle")])
      #expect(
        try merged.textEncoder().model(ids).lastHiddenState.values
          == file.textEncoder().model(ids).lastHiddenState.values)
      #expect(
        try UNetConfiguration(merged.configuration("unet"))
          == UNetConfiguration(file.configuration("unet")))
      _ = try merged.unet()
      let image = try merged.autoencoder().model.decoder(
        .init(repeating: 0.5, shape: [1, 2, 2, 4]))
      #expect(
        try image.values
          == file.autoencoder().model.decoder(.init(repeating: 0.5, shape: [1, 2, 2, 4])).values)
      let summary = try JSONReader(contentsOf: "\(run.workspace)/report/summary.json")
      #expect(try summary.optional("preference") == nil)

      let again = try self.run(run, overrides)
      #expect(again.count { if case .upToDate = $0 { true } else { false } } == 6)
      try writeCheckpoint("\(folder)/model.safetensors", seed: 4)
      let changed = try self.run(run, overrides).compactMap { event in
        if case .started(let stage, _, _) = event { stage } else { nil }
      }
      #expect(changed == ["encode", "shard", "spo", "export", "report"])
    }
  }
}

private struct Sequence: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}

/// Writes a preference model of the embedded world, with fresh weights.
func writeFreshPreferenceModel(_ folder: String) throws {
  let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path
  try FileManager.default.copyItem(
    atPath: "\(repository)/data/tiny-preference", toPath: folder)
  let weights = try ModelFolder(path: folder).freshPreferenceModel(seed: 5).weights
  try writeSafetensors(
    weights.parameters.map { parameter in
      OutgoingTensor(
        parameter.name, shape: parameter.storedShape, floats: { parameter.storedValues })
    }, to: "\(folder)/model.safetensors")
}
