import Diffusion
import Files
import TestSupport
import Testing

/// Model folders whose numbers are replaced by what no model has.
@Suite struct HostileConfigurationTests {
  struct Place: CustomTestStringConvertible, Sendable {
    let model: String
    let file: String
    let steps: [JSONStep]
    var testDescription: String { "\(model) \(file) \(steps)" }
  }

  static let models = [
    repositoryPath("data/tiny-sd"), fixturePath("sample-xl/model"),
  ]
  static let files = [
    "unet/config.json", "vae/config.json", "text_encoder/config.json",
    "text_encoder_2/config.json", "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
  ]

  /// Every number of every configuration.
  static func paths() -> [Place] {
    models.flatMap { model in
      files.flatMap { file -> [Place] in
        guard let json = try? JSON(contentsOf: "\(model)/\(file)") else { return [] }
        return json.numberPaths.map { Place(model: model, file: file, steps: $0) }
      }
    }
  }

  /// Numbers that are not read, or that may be anything.
  private static let unread: Set<JSONStep> = [
    .key("bos_token_id"), .key("pad_token_id"), .key("initializer_factor"),
    .key("initializer_range"), .key("attention_dropout"), .key("dropout"),
    .key("addition_embed_type_num_heads"), .key("sample_max_value"),
    .key("logit_scale_init_value"),
  ]

  @Test(
    "a number that is none, negative, huge or of another kind is refused in one line",
    arguments: paths())
  func refused(_ place: Place) throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: place.model, in: folder, as: "model")
      let path = "\(copy)/\(place.file)"
      let original = try JSON(contentsOf: path)
      let isRead = Self.unread.isDisjoint(with: place.steps)
      for value: JSON? in [
        -1, 0, 0.5, 1e30, .integer(1 << 31), .integer(.max), .integer(.min), "x", [], nil,
      ] {
        let changed = original.replacing(place.steps, by: value)
        try AtomicFile.replace(path, with: Array(changed.text().utf8))
        do {
          try ModelFolder(path: copy).check()
          let mustFail = isRead && [JSON?(1e30), "x", []].contains(value)
          // Tokenizers write 1e30 where they know no limit.
          #expect(!mustFail || place.file.hasPrefix("tokenizer"), "\(String(describing: value))")
        } catch {
          let text = "\(error)"
          #expect(text.contains(folder) && !text.contains("\n"), "\(text)")
        }
      }
    }
  }

  struct Change: CustomTestStringConvertible, Sendable {
    let file: String
    let changes: [String: JSON?]
    let mention: String
    var testDescription: String { mention }
  }

  static let changes: [Change] = [
    .init(
      file: "unet/config.json", changes: ["norm_eps": -1],
      mention: "norm_eps is -1, expected 1e-12 to 1.0"),
    .init(
      file: "unet/config.json", changes: ["norm_num_groups": 7],
      mention: "block_out_channels 32 is not a multiple of norm_num_groups 7"),
    .init(
      file: "unet/config.json", changes: ["attention_head_dim": 5],
      mention: "block_out_channels 32 is not a multiple of attention_head_dim 5"),
    .init(
      file: "unet/config.json", changes: ["norm_num_groups": .some(.null)],
      mention: "norm_num_groups null is not supported"),
    .init(
      file: "unet/config.json", changes: ["attention_head_dim": [4]],
      mention: "attention_head_dim has 1 entries, expected 2"),
    .init(
      file: "unet/config.json", changes: ["layers_per_block": 1_000_000_000],
      mention: "layers_per_block is 1000000000, expected 1 to 32"),
    .init(
      file: "unet/config.json", changes: ["block_out_channels": []],
      mention: "block_out_channels has 0 entries, expected 1 to 8"),
    .init(
      file: "unet/config.json", changes: ["layers_per_block": [1, 1, 1]],
      mention: "layers_per_block has 3 entries, expected 2"),
    .init(
      file: "unet/config.json", changes: ["down_block_types": ["AttnDownBlock2D", "DownBlock2D"]],
      mention: "down_block_types AttnDownBlock2D is not supported"),
    .init(
      file: "unet/config.json", changes: ["act_fn": "mish"], mention: "act_fn \"mish\" is not"),
    .init(
      file: "unet/config.json", changes: ["_class_name": "UNet3DConditionModel"],
      mention: "_class_name \"UNet3DConditionModel\" is not supported"),
    .init(
      file: "unet/config.json", changes: ["downsample_padding": 2],
      mention: "downsample_padding is 2, expected 0 to 1"),
    .init(
      file: "unet/config.json", changes: ["sample_size": 16_000],
      mention: "images of 128000 x 128000 pixels"),
    .init(
      file: "vae/config.json", changes: ["scaling_factor": 0],
      mention: "scaling_factor is 0, expected 0.001 to 1000.0"),
    .init(
      file: "vae/config.json", changes: ["shift_factor": 0.1],
      mention: "shift_factor 0.1 is not supported"),
    .init(
      file: "vae/config.json", changes: ["latents_mean": [0, 0, 0, 0]],
      mention: "latents_mean [0,0,0,0] is not supported"),
    .init(
      file: "vae/config.json", changes: ["_class_name": "AutoencoderTiny"],
      mention: "_class_name \"AutoencoderTiny\" is not supported"),
    .init(
      file: "text_encoder/config.json", changes: ["hidden_act": "mish"],
      mention: "hidden_act mish is not supported"),
    .init(
      file: "text_encoder/config.json", changes: ["num_attention_heads": 5],
      mention: "hidden_size 64 is not a multiple of num_attention_heads 5"),
    .init(
      file: "text_encoder/config.json", changes: ["eos_token_id": 581],
      mention: "eos_token_id is 581, expected 0 to 580"),
    .init(
      file: "text_encoder/config.json", changes: ["model_type": "t5"],
      mention: "model_type \"t5\" is not supported"),
    .init(
      file: "scheduler/scheduler_config.json", changes: ["num_train_timesteps": 0],
      mention: "num_train_timesteps is 0"),
    .init(
      file: "scheduler/scheduler_config.json", changes: ["beta_start": 0.02],
      mention: "beta_start is 0.02, but beta_end 0.012"),
    .init(
      file: "scheduler/scheduler_config.json", changes: ["beta_end": 1],
      mention: "beta_end is 1, expected"),
    .init(
      file: "scheduler/scheduler_config.json",
      changes: ["_class_name": "EDMDPMSolverMultistepScheduler"],
      mention: "_class_name is EDMDPMSolverMultistepScheduler"),
    .init(
      file: "scheduler/scheduler_config.json",
      changes: ["_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous"],
      mention: "timestep_type is continuous"),
    .init(
      file: "scheduler/scheduler_config.json", changes: ["prediction_type": "flow_prediction"],
      mention: "prediction_type is flow_prediction"),
  ]

  @Test("what is wrong with a configuration is said by file, key and range", arguments: changes)
  func named(_ change: Change) throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: Self.models[0], in: folder, as: "model")
      try editJSON("\(copy)/\(change.file)", change.changes)
      let error = try #require(
        #expect(throws: (any Error).self) { try ModelFolder(path: copy).check() })
      #expect("\(error)".hasPrefix("\(copy)/\(change.file): "), "\(error)")
      #expect("\(error)".contains(change.mention), "\(error)")
    }
  }

  @Test("models as they are pass", arguments: models + [fixturePath("sample/model")])
  func sound(model: String) throws { try ModelFolder(path: model).check() }
}
