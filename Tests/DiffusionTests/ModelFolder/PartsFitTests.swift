import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import RandomStreams
import TestSupport
import Testing

/// Parts that do not go together, refused when a model is opened and before weights are read.
@Suite struct PartsFitTests {
  struct Misfit: CustomTestStringConvertible, Sendable {
    var model = "sample/model"
    let file: String
    let changes: [String: JSON?]
    let mention: String
    var testDescription: String { mention }
  }

  static let misfits: [Misfit] = [
    .init(
      file: "unet/config.json", changes: ["in_channels": 9],
      mention:
        "unet/config.json: in_channels is 9, but the autoencoder's latents have 4"),
    .init(
      file: "unet/config.json", changes: ["out_channels": 8],
      mention: "unet/config.json: out_channels is 8, but the autoencoder's latents have 4"),
    .init(
      file: "vae/config.json", changes: ["latent_channels": 16],
      mention: "vae/config.json: latent_channels is 16, but"),
    .init(
      file: "vae/config.json", changes: ["in_channels": 4],
      mention: "vae/config.json: in_channels is 4, but images have 3 channels"),
    .init(
      file: "vae/config.json", changes: ["out_channels": 1],
      mention: "vae/config.json: out_channels is 1, but images have 3 channels"),
    .init(
      file: "unet/config.json", changes: ["cross_attention_dim": 12],
      mention: "unet/config.json: cross_attention_dim is 12, but the text encoders give 8"),
    .init(
      file: "text_encoder/config.json", changes: ["vocab_size": 100, "eos_token_id": 2],
      mention: "text_encoder/config.json: vocab_size is 100, but"),
    .init(
      file: "text_encoder/config.json", changes: ["max_position_embeddings": 20],
      mention: "text_encoder/config.json: max_position_embeddings is 20, but"),
    .init(
      file: "unet/config.json",
      changes: [
        "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 53,
      ], mention: "addition_embed_type is text_time, but there is one text encoder"),
    .init(
      model: "sample-xl/model", file: "unet/config.json",
      changes: ["projection_class_embeddings_input_dim": 54],
      mention:
        "projection_class_embeddings_input_dim is 54, but the second text encoder's projection "
        + "of 5 and 6 x 8 features of sizes make 53"),
    .init(
      model: "sample-xl/model", file: "text_encoder_2/config.json",
      changes: ["projection_dim": 6],
      mention: "projection_class_embeddings_input_dim is 53, but"),
    .init(
      model: "sample-xl/model", file: "unet/config.json", changes: ["addition_embed_type": nil],
      mention: "addition_embed_type is not text_time, but there are two text encoders"),
    .init(
      model: "sample-xl/model", file: "text_encoder_2/config.json", changes: ["eos_token_id": 3],
      mention: "text_encoder_2/config.json: eos_token_id is 3, but"),
    .init(
      file: "text_encoder/config.json", changes: ["use_attention_mask": true],
      mention: "text_encoder/config.json: use_attention_mask true is not supported"),
    .init(
      model: "sample-xl/model", file: "model_index.json",
      changes: ["text_encoder": ["transformers", "CLIPTextModelWithProjection"]],
      mention: "model_index.json: text_encoder CLIPTextModelWithProjection is not supported"),
  ]

  @Test("what diffusers' pipeline makes of a small sample_size depends on its writer's version")
  func sampleSize() throws {
    for (model, version, isReplaced) in [
      ("sample/model", "0.6.0" as JSON?, true), ("sample/model", "0.8.1.dev0", true),
      ("sample/model", "0.9.0", false), ("sample/model", nil, false),
      ("sample-xl/model", "0.6.0", false),
    ] {
      try withTemporaryFolder { folder in
        let copy = try linkedCopy(of: fixturePath(model), in: folder, as: "model")
        let path = "\(copy)/unet/config.json"
        try editJSON(path, ["_diffusers_version": version])
        let json = try JSONReader(contentsOf: path)
        let size = try json.int("sample_size")
        #expect(try UNetConfiguration(json).sampleSize == (isReplaced ? 64 : size))
      }
    }
  }

  @Test("sizes that are halved to nothing are refused, by the size")
  func halvings() throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: fixturePath("sample/model"), in: folder, as: "model")
      let path = "\(copy)/unet/config.json"
      try editJSON(path, ["downsample_padding": 0])
      let unet = try UNetConfiguration(try JSONReader(contentsOf: path))
      let halvings = unet.channels.count - 1
      let least = 1 << halvings
      try unet.requireHalvable(height: least, width: least + 1, path: path)
      let error = try #require(
        #expect(throws: ConfigurationError.self) {
          try unet.requireHalvable(height: least, width: least - 1, path: path)
        })
      #expect("\(error)".contains("latents of \(least) x \(least - 1) cannot be halved"))
      try editJSON(path, ["downsample_padding": 1])
      try UNetConfiguration(try JSONReader(contentsOf: path))
        .requireHalvable(height: 1, width: 1, path: path)
    }
  }

  @Test("null is false where Python takes it for a truth value")
  func nulls() throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: fixturePath("sample-xl/model"), in: folder, as: "model")
      #expect(try PromptEncoderConfiguration(ModelFolder(path: copy)).isEmptyPromptZero)
      try editJSON("\(copy)/model_index.json", ["force_zeros_for_empty_prompt": .some(.null)])
      #expect(try !PromptEncoderConfiguration(ModelFolder(path: copy)).isEmptyPromptZero)
      try editJSON("\(copy)/unet/config.json", ["flip_sin_to_cos": .some(.null)])
      let unet = try JSONReader(contentsOf: "\(copy)/unet/config.json")
      #expect(try !UNetConfiguration(unet).cosinesFirst)
    }
  }

  @Test("what does not fit is said by file and key", arguments: misfits)
  func misfit(_ misfit: Misfit) throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: fixturePath(misfit.model), in: folder, as: "model")
      try editJSON("\(copy)/\(misfit.file)", misfit.changes)
      let model = ModelFolder(path: copy)
      let error = try #require(
        #expect(throws: ConfigurationError.self) { try ModelConfiguration(model) })
      #expect("\(error)".contains(misfit.mention), "\(error)")
      #expect(throws: error) { _ = try TextToImage(model) }
      #expect(throws: error) {
        try TextToImage.draw(
          TextToImage.Request(prompt: "x"), of: model, from: [TorchCPUGenerator(seed: 1)]
        ) { _, _ in }
      }
    }
  }

  @Test(
    "weights of other shapes than the configuration says are refused unread, by file and tensor")
  func shapes() throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: fixturePath("sample/model"), in: folder, as: "model")
      let original = try JSON(contentsOf: "\(copy)/unet/config.json")
      for (file, key, value) in [
        ("unet", "block_out_channels", [8, 16] as JSON), ("vae", "layers_per_block", 2),
        ("text_encoder", "num_hidden_layers", 1),
      ] {
        let path = "\(copy)/\(file)/config.json"
        let before = try RegularFile(path: path).readAll()
        try editJSON(path, [key: value])
        let error = try #require(
          #expect(throws: WeightError.self) { try ModelFolder(path: copy).check() })
        #expect("\(error)".hasPrefix("\(copy)/\(file)/"), "\(error)")
        try AtomicFile.replace(path, with: before)
      }
      #expect(try JSON(contentsOf: "\(copy)/unet/config.json") == original)
    }
  }

  @Test("a folder whose U-Net's file is marked otherwise than the scheduler says is refused")
  func marks() throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: fixturePath("sample/model"), in: folder, as: "model")
      let path = "\(copy)/unet/diffusion_pytorch_model.safetensors"
      let file = try SafetensorsFile(path: path)
      try FileManager.default.removeItem(atPath: path)
      try writeSafetensors(
        file.entries.map { entry in
          OutgoingTensor(
            entry.name, type: entry.type, shape: entry.shape,
            bytes: { try file.bytes(entry.name) })
        }, metadata: ["modelspec.prediction_type": "v"], to: path)
      let error = try #require(
        #expect(throws: ConfigurationError.self) { try ModelFolder(path: copy).check() })
      #expect("\(error)".contains("prediction_type is epsilon, but \(path) is marked as v_predict"))
      try editJSON(
        "\(copy)/scheduler/scheduler_config.json", ["prediction_type": "v_prediction"])
      try ModelFolder(path: copy).check()
    }
  }
}
