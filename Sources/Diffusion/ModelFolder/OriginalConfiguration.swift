import Checkpoints
package import Files

extension OriginalCheckpoint {
  /// The configuration that diffusers or transformers would save for a part, complete enough for them
  /// to load it.
  ///
  /// - Source: the model folders `stable-diffusion-v1-5` and `stable-diffusion-xl-base-1.0`
  package func configuration(_ part: String) throws -> JSONReader {
    let json: JSON
    switch part {
    case "unet": json = try unetConfiguration()
    case "vae": json = try autoencoderConfiguration()
    case "text_encoder": json = try textConfiguration()
    case "text_encoder_2" where family == .stableDiffusionXL: json = try openCLIPConfiguration()
    case "scheduler": json = schedulerConfiguration()
    default: throw OriginalCheckpointError.noPart(path: source.path, part: part)
    }
    return JSONReader(json, path: "\(source.path) (\(part))")
  }

  private func unetConfiguration() throws -> JSON {
    let extents = try UNetExtents(self)
    let prefix = Self.unetPrefix
    let json: JSON = [
      "_class_name": "UNet2DConditionModel",
      "in_channels": .integer(try extent("\(prefix)input_blocks.0.0.weight", 1)),
      "out_channels": .integer(try extent("\(prefix)out.2.weight", 0)),
      "sample_size": family == .stableDiffusion1 ? 64 : 128,
      "block_out_channels": .integers(extents.channels),
      "layers_per_block": .integer(extents.layersPerBlock),
      "down_block_types": .array(
        extents.hasAttention.map { $0 ? "CrossAttnDownBlock2D" : "DownBlock2D" }),
      "up_block_types": .array(
        extents.hasAttention.reversed().map { $0 ? "CrossAttnUpBlock2D" : "UpBlock2D" }),
      "transformer_layers_per_block": .integers(extents.transformerLayers),
      "cross_attention_dim": .integer(
        try extent(
          "\(prefix)middle_block.1.transformer_blocks.0.attn2.to_k.weight", 1)),
      "norm_num_groups": 32, "norm_eps": 1e-5, "act_fn": "silu", "flip_sin_to_cos": true,
      "freq_shift": 0, "downsample_padding": 1, "center_input_sample": false,
      "mid_block_scale_factor": 1,
    ]
    switch family {
    case .stableDiffusion1: return json.adding(["attention_head_dim": 8])
    case .stableDiffusionXL:
      let inputWidth = try extent("\(prefix)label_emb.0.0.weight", 1)
      let pooledWidth = try extent("\(Self.openCLIPPrefix)text_projection", 1)
      return json.adding([
        // Heads are 64 wide.
        "attention_head_dim": .integers(extents.channels.map { max(1, $0 / 64) }),
        "use_linear_projection": true,
        "addition_embed_type": "text_time",
        "projection_class_embeddings_input_dim": .integer(inputWidth),
        // Of each of six numbers beside the pooled text.
        "addition_time_embed_dim": .integer((inputWidth - pooledWidth) / 6),
      ])
    }
  }

  private func autoencoderConfiguration() throws -> JSON {
    let encoder = "\(Self.autoencoderPrefix)encoder."
    let decoder = "\(Self.autoencoderPrefix)decoder."
    func first(_ level: Int) -> String { "\(encoder)down.\(level).block.0.conv1.weight" }
    let levels = count(first)
    return [
      "_class_name": "AutoencoderKL",
      "in_channels": .integer(try extent("\(encoder)conv_in.weight", 1)),
      "out_channels": .integer(try extent("\(decoder)conv_out.weight", 0)),
      "latent_channels": .integer(try extent("\(decoder)conv_in.weight", 1)),
      "block_out_channels": .integers(try (0..<levels).map { try extent(first($0), 0) }),
      "layers_per_block": .integer(count { "\(encoder)down.0.block.\($0).conv1.weight" }),
      "down_block_types": .array((0..<levels).map { _ in "DownEncoderBlock2D" }),
      "up_block_types": .array((0..<levels).map { _ in "UpDecoderBlock2D" }),
      "norm_num_groups": 32, "act_fn": "silu",
      "sample_size": family == .stableDiffusion1 ? 512 : 1024,
      "scaling_factor": family == .stableDiffusion1 ? 0.18215 : 0.13025,
      "force_upcast": .bool(family == .stableDiffusionXL),
    ]
  }

  private func textConfiguration() throws -> JSON {
    let tokens = textName("embeddings.token_embedding.weight")
    let width = try extent(tokens, 1)
    let expand = textName("encoder.layers.0.mlp.fc1.weight")
    return Self.textConfiguration(
      vocabulary: try extent(tokens, 0), width: width,
      positions: try extent(textName("embeddings.position_embedding.weight"), 0),
      inner: try extent(expand, 0),
      layers: count { textName("encoder.layers.\($0).mlp.fc1.weight") },
      activation: "quick_gelu", projection: width, architecture: "CLIPTextModel")
  }

  private func openCLIPConfiguration() throws -> JSON {
    let prefix = Self.openCLIPPrefix
    func expand(_ layer: Int) -> String {
      "\(prefix)transformer.resblocks.\(layer).mlp.c_fc.weight"
    }
    let tokens = "\(prefix)token_embedding.weight"
    return Self.textConfiguration(
      vocabulary: try extent(tokens, 0), width: try extent(tokens, 1),
      positions: try extent("\(prefix)positional_embedding", 0), inner: try extent(expand(0), 0),
      layers: count(expand), activation: "gelu",
      projection: try extent("\(prefix)text_projection", 1),
      architecture: "CLIPTextModelWithProjection")
  }

  private static func textConfiguration(
    vocabulary: Int, width: Int, positions: Int, inner: Int, layers: Int, activation: String,
    projection: Int, architecture: String
  ) -> JSON {
    [
      "architectures": [.string(architecture)], "model_type": "clip_text_model",
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(width),
      "intermediate_size": .integer(inner), "num_hidden_layers": .integer(layers),
      // Heads are 64 wide.
      "num_attention_heads": .integer(max(1, width / 64)),
      "max_position_embeddings": .integer(positions), "projection_dim": .integer(projection),
      "hidden_act": .string(activation), "layer_norm_eps": 1e-5, "bos_token_id": 0,
      "eos_token_id": 2, "pad_token_id": 1,
    ]
  }

  private func schedulerConfiguration() -> JSON {
    let json: JSON = [
      "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "num_train_timesteps": 1000, "clip_sample": false, "set_alpha_to_one": false,
      "skip_prk_steps": true, "steps_offset": 1,
      "prediction_type": .string((marks.prediction ?? .noise).rawValue),
      "rescale_betas_zero_snr": .bool(marks.endsInPureNoise),
    ]
    switch family {
    case .stableDiffusion1: return json.adding(["_class_name": "PNDMScheduler"])
    case .stableDiffusionXL:
      return json.adding([
        "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading",
        "interpolation_type": "linear", "use_karras_sigmas": false,
      ])
    }
  }
}

/// What the shapes of a U-Net tell of its configuration.
struct UNetExtents {
  /// Of each level, from the top.
  let channels: [Int]
  let layersPerBlock: Int
  let hasAttention: [Bool]
  let transformerLayers: [Int]

  init(_ checkpoint: OriginalCheckpoint) throws {
    let prefix = OriginalCheckpoint.unetPrefix
    func block(_ number: Int) -> String { "\(prefix)input_blocks.\(number)" }
    func resnet(_ number: Int) -> String { "\(block(number)).0.in_layers.2.weight" }
    // A level ends with a halving; the last one does not.
    let layers = checkpoint.count(from: 1, resnet)
    guard layers > 0 else {
      throw CheckpointError.missingTensor(path: checkpoint.source.path, tensor: resnet(1))
    }
    let levels = checkpoint.count { resnet(1 + (layers + 1) * $0) }
    func transformers(_ place: String) -> Int {
      checkpoint.count { "\(place).transformer_blocks.\($0).attn1.to_q.weight" }
    }
    let depths = (0..<levels).map { transformers("\(block(1 + (layers + 1) * $0)).1") }
    layersPerBlock = layers
    channels = try (0..<levels).map {
      try checkpoint.extent(resnet(1 + (layers + 1) * $0), 0)
    }
    hasAttention = depths.map { $0 > 0 }
    // The middle has as many layers as its configuration gives to the last level.
    let middle = transformers("\(prefix)middle_block.1")
    transformerLayers = depths.enumerated().map { level, depth in
      depth > 0 ? depth : level == levels - 1 ? max(1, middle) : 1
    }
  }
}

extension JSON {
  fileprivate static func integers(_ values: [Int]) -> JSON { .array(values.map(JSON.integer)) }

  /// An object with the members of another.
  func adding(_ other: JSON) -> JSON {
    var members = object ?? .init()
    for (key, value) in other.object ?? .init() { members[key] = value }
    return .object(members)
  }
}
