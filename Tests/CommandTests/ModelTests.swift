import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Models whose parts do not fit each other, and configurations that no model has.
@Suite(.serialized) struct ModelTests {
  /// All ways in which a model is used refuse it in one line, before any work.
  private func expectRefusal(
    of model: ModelVariant, in folder: String, naming words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let image = "\(folder)/image.png"
    let run = SmallRun(in: folder)
    let model = model.path
    let outcomes = [
      try spo("sample", "--model", model, "--prompt", "x", "--steps", "2", "--out", image),
      try spo("doctor", SmallRun.pipeline, "--set", "model=\(model)"),
      try run.run("--set", "model=\(model)"),
    ]
    for outcome in outcomes {
      expect(outcome, failsAs: .input, sourceLocation: sourceLocation)
      for word in words {
        #expect(outcome.errors.contains(word), "\(outcome)", sourceLocation: sourceLocation)
      }
    }
    #expect(!FileManager.default.fileExists(atPath: image), sourceLocation: sourceLocation)
    #expect(
      !FileManager.default.fileExists(atPath: run.path("catalog.sqlite")),
      "work was done", sourceLocation: sourceLocation)
  }

  @Test("a U-Net for inpainting or editing is refused by file and key", arguments: [9, 8])
  func unetInputs(channels: Int) throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant.withUNetInputs(channels, in: folder)
      try expectRefusal(
        of: model, in: folder, naming: "unet/config.json", "in_channels", "\(channels)", "4",
        "vae/config.json", "inpainting")
    }
  }

  @Test("an autoencoder of more latent channels than the U-Net takes is refused")
  func latentChannels() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant.withLatentChannels(16, in: folder)
      try expectRefusal(
        of: model, in: folder, naming: "\(model.path)/vae/config.json", "latent_channels", "16",
        "\(model.path)/unet/config.json", "in_channels", "4")
    }
  }

  @Test("an autoencoder of grey images is refused")
  func imageChannels() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      let first = try model.tensor("vae", "encoder.conv_in.weight")
      let last = try model.tensor("vae", "decoder.conv_out.weight")
      try model.replace(
        "vae",
        [
          "encoder.conv_in.weight": TensorData(
            shape: [first.shape[0], 1, 3, 3],
            values: Array(first.values.prefix(first.shape[0] * 9))),
          "decoder.conv_out.weight": TensorData(
            shape: [1, last.shape[1], 3, 3], values: Array(last.values.prefix(last.shape[1] * 9))),
          "decoder.conv_out.bias": TensorData(shape: [1], values: [0]),
        ])
      try model.configure("vae/config.json", ["in_channels": 1, "out_channels": 1])
      try expectRefusal(of: model, in: folder, naming: "vae/config.json", "channels")
    }
  }

  @Test(
    "weights that are whole numbers are refused by name",
    arguments: [
      ("unet", "conv_in.bias"), ("vae", "decoder.conv_in.bias"),
      ("text_encoder", "text_model.final_layer_norm.weight"),
    ])
  func integerWeights(part: String, tensor: String) throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      try model.makeIntegers(part, tensor)
      try expectRefusal(of: model, in: folder, naming: "\(part)/", tensor, "I")
    }
  }

  /// Numbers that no published model has: one line, whatever reads them.
  static let hostile: [(file: String, key: String, value: JSON)] = [
    ("unet/config.json", "norm_eps", -1), ("unet/config.json", "norm_num_groups", 0),
    ("unet/config.json", "norm_num_groups", 7),
    ("unet/config.json", "attention_head_dim", 0), ("unet/config.json", "attention_head_dim", 7),
    ("unet/config.json", "block_out_channels", [0, 64]),
    ("unet/config.json", "block_out_channels", [32, 4_611_686_018_427_387_904]),
    ("unet/config.json", "layers_per_block", -1),
    ("unet/config.json", "cross_attention_dim", 32), ("unet/config.json", "sample_size", -16),
    ("unet/config.json", "sample_size", 1_000_000_000),
    ("unet/config.json", "out_channels", 8),
    ("vae/config.json", "norm_num_groups", 0), ("vae/config.json", "scaling_factor", 0),
    ("vae/config.json", "scaling_factor", "NaN"),
    ("vae/config.json", "block_out_channels", [16, 24, -48]),
    ("text_encoder/config.json", "num_attention_heads", 0),
    ("text_encoder/config.json", "hidden_size", -64),
    ("text_encoder/config.json", "layer_norm_eps", -1),
    ("text_encoder/config.json", "vocab_size", 100),
    ("text_encoder/config.json", "max_position_embeddings", 0),
    ("scheduler/scheduler_config.json", "num_train_timesteps", 0),
    ("scheduler/scheduler_config.json", "num_train_timesteps", 4_611_686_018_427_387_904),
    ("scheduler/scheduler_config.json", "beta_start", -1),
    ("scheduler/scheduler_config.json", "beta_end", 2),
  ]

  /// Applies an operation to the inputs of a golden case.
  private func apply(
    _ operation: String, _ model: String, _ golden: SafetensorsFile, _ outputs: String
  ) throws -> Outcome {
    let (inputs, prefix) = ("\(outputs).in", "input.")
    try writeSafetensors(
      golden.entries.filter { $0.name.hasPrefix(prefix) }.map { entry in
        OutgoingTensor(
          String(entry.name.dropFirst(prefix.count)), type: entry.type, shape: entry.shape,
          bytes: { try golden.bytes(entry.name) })
      }, to: inputs)
    return try spo(
      "apply", operation, "--model", model, "--inputs", inputs, "--outputs", outputs)
  }

  @Test("an operation needs no other part of a model than its own")
  func partAlone() throws {
    try withTemporaryFolder { folder in
      let model = fixturePath("models/text-projected")
      let golden = try SafetensorsFile(path: "\(model)/case.safetensors")
      let outputs = "\(folder)/out.safetensors"
      let outcome = try apply("text_encoder_2", model, golden, outputs)
      #expect(outcome.exitCode == 0, "\(outcome)")
      #expect(try !SafetensorsFile(path: outputs).entries.isEmpty)
      let ids = try ["data/tiny-sd", "data/tiny-sd/tokenizer"].map {
        try spo("tokenize", "--model", $0, "--text", "a red circle").output
      }
      #expect(ids[0] == ids[1] && ids[0].hasPrefix("["), "\(ids)")
    }
  }

  @Test("apply takes a preference model, which is no diffusers folder, and refuses it as a U-Net")
  func preferenceModel() throws {
    try withTemporaryFolder { folder in
      let model = fixturePath("models/preference-gelu")
      let golden = try SafetensorsFile(path: "\(model)/case-odd.safetensors")
      let outputs = "\(folder)/out.safetensors"
      expect(
        try apply("unet", model, golden, outputs), failsAs: .input, naming: "--model",
        "not a diffusers model")
      let outcome = try apply("preference", model, golden, outputs)
      try #require(outcome.exitCode == 0, "\(outcome)")
      let scores = try SafetensorsFile(path: outputs).floats("score")
      let expected = try golden.floats("output.score")
      #expect(scores.count == expected.count)
      for (score, right) in zip(scores, expected) { #expect(abs(score - right) < 1e-3) }
    }
  }

  @Test("a configuration with a number that no model has is refused", arguments: hostile.indices)
  func configurations(index: Int) throws {
    let (file, key, value) = Self.hostile[index]
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      try model.configure(file, [key: value])
      let outcome = try spo(
        "sample", "--model", model.path, "--prompt", "x", "--steps", "2", "--out",
        "\(folder)/image.png", within: 60)
      expect(outcome, failsAs: .input, naming: file)
    }
  }
}
