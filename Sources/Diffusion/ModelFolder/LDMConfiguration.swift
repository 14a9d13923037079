import Checkpoints
package import Files

extension LDMCheckpoint {
  /// Returns the configuration that diffusers or transformers would save for a part, complete
  /// enough for them to load it.
  ///
  /// - Source: the model folders `stable-diffusion-v1-5`, `stable-diffusion-2-1` and
  ///   `stable-diffusion-xl-base-1.0`
  package func configuration(_ part: String) throws -> JSONReader {
    let json: JSON
    switch part {
    case "unet": json = try unetConfiguration()
    case "vae":
      guard hasAutoencoder else { throw LDMCheckpointError.lacksAutoencoder(path: source.path) }
      json = try autoencoderConfiguration.adding(autoencoderExtents())
    case "text_encoder" where family == .stableDiffusion2:
      json = try openCLIPConfiguration(
        "CLIPTextModel", layerLimit: Self.largestLayerCount)
    case "text_encoder": json = try textConfiguration()
    case "text_encoder_2" where family == .stableDiffusionXL:
      json = try openCLIPConfiguration("CLIPTextModelWithProjection", layerLimit: .max)
    case "scheduler": json = schedulerConfiguration()
    default: throw LDMCheckpointError.noPart(path: source.path, part: part)
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
      "sample_size": .integer(imageSide / 8),
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
    case .stableDiffusion2:
      return json.adding([
        "attention_head_dim": headCounts(extents), "use_linear_projection": true,
      ])
    case .stableDiffusionXL:
      let inputWidth = try extent("\(prefix)label_emb.0.0.weight", 1)
      let pooledWidth = try extent("\(openCLIPPrefix)text_projection", 1)
      return json.adding([
        "attention_head_dim": headCounts(extents),
        "use_linear_projection": true,
        "addition_embed_type": "text_time",
        "projection_class_embeddings_input_dim": .integer(inputWidth),
        // For each of the six numbers besides the pooled text.
        "addition_time_embed_dim": .integer((inputWidth - pooledWidth) / 6),
      ])
    }
  }

  /// Returns the head counts; heads are 64 wide.
  private func headCounts(_ extents: UNetExtents) -> JSON {
    .integers(extents.channels.map { max(1, $0 / 64) })
  }

  /// An assumption about the model; nil: the file is explicit.
  package var assumption: String? {
    guard family == .stableDiffusion2, marks.prediction == nil else { return nil }
    return
      "\(source.path) does not say what it predicts: assumed to be a 768-pixel v-prediction model, as "
      + "in diffusers; for a 512-pixel base model, which predicts noise, give the model's folder, or "
      + "write modelspec.prediction_type = epsilon into the header of a .safetensors file"
  }

  /// The prediction type.
  ///
  /// A file of Stable Diffusion 2 without marks is assumed to be the 768-pixel model, as in
  /// diffusers: it has the same names as the 512-pixel ones, which predict the noise.
  private var prediction: PredictionType {
    marks.prediction ?? (family == .stableDiffusion2 ? .velocity : .noise)
  }

  /// The height and width in pixels.
  private var imageSide: Int {
    switch family {
    case .stableDiffusion1: 512
    case .stableDiffusion2: prediction == .velocity ? 768 : 512
    case .stableDiffusionXL: 1024
    }
  }

  /// The published autoencoder's configuration.
  var autoencoderConfiguration: JSON {
    [
      "_class_name": "AutoencoderKL", "norm_num_groups": 32, "act_fn": "silu",
      "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2,
      "block_out_channels": [128, 256, 512, 512],
      "down_block_types": .array((0..<4).map { _ in "DownEncoderBlock2D" }),
      "up_block_types": .array((0..<4).map { _ in "UpDecoderBlock2D" }),
      "sample_size": .integer(imageSide),
      "scaling_factor": family == .stableDiffusionXL ? 0.13025 : 0.18215,
      "force_upcast": .bool(family == .stableDiffusionXL),
    ]
  }

  private func autoencoderExtents() throws -> JSON {
    let encoder = "\(Self.autoencoderPrefix)encoder."
    let decoder = "\(Self.autoencoderPrefix)decoder."
    func first(_ level: Int) -> String { "\(encoder)down.\(level).block.0.conv1.weight" }
    let levels = count(first)
    return [
      "in_channels": .integer(try extent("\(encoder)conv_in.weight", 1)),
      "out_channels": .integer(try extent("\(decoder)conv_out.weight", 0)),
      "latent_channels": .integer(try extent("\(decoder)conv_in.weight", 1)),
      "block_out_channels": .integers(try (0..<levels).map { try extent(first($0), 0) }),
      "layers_per_block": .integer(count { "\(encoder)down.0.block.\($0).conv1.weight" }),
      "down_block_types": .array((0..<levels).map { _ in "DownEncoderBlock2D" }),
      "up_block_types": .array((0..<levels).map { _ in "UpDecoderBlock2D" }),
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

  private func openCLIPConfiguration(_ architecture: String, layerLimit: Int) throws -> JSON {
    let prefix = openCLIPPrefix
    func expand(_ layer: Int) -> String {
      "\(prefix)transformer.resblocks.\(layer).mlp.c_fc.weight"
    }
    let tokens = "\(prefix)token_embedding.weight"
    let width = try extent(tokens, 1)
    let projection = "\(prefix)text_projection"
    return Self.textConfiguration(
      vocabulary: try extent(tokens, 0), width: width,
      positions: try extent("\(prefix)positional_embedding", 0), inner: try extent(expand(0), 0),
      layers: min(layerLimit, count(expand)), activation: "gelu",
      projection: family == .stableDiffusion2 ? width : try extent(projection, 1),
      architecture: architecture)
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
      "prediction_type": .string(prediction.rawValue),
      "rescale_betas_zero_snr": .bool(marks.endsInPureNoise),
    ]
    switch family {
    case .stableDiffusion1: return json.adding(["_class_name": "PNDMScheduler"])
    case .stableDiffusion2: return json.adding(["_class_name": "DDIMScheduler"])
    case .stableDiffusionXL:
      return json.adding([
        "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading",
        "interpolation_type": "linear", "use_karras_sigmas": false,
      ])
    }
  }
}

/// The extents of a U-Net's configuration, inferred from its shapes.
struct UNetExtents {
  /// The channels of each level, from the top.
  let channels: [Int]
  let layersPerBlock: Int
  let hasAttention: [Bool]
  let transformerLayers: [Int]

  init(_ checkpoint: LDMCheckpoint) throws {
    let prefix = LDMCheckpoint.unetPrefix
    func block(_ number: Int) -> String { "\(prefix)input_blocks.\(number)" }
    func resnet(_ number: Int) -> String { "\(block(number)).0.in_layers.2.weight" }
    // Every level but the last ends with a downsampler.
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
    // The configuration gives the middle block as many layers as the last level.
    let middle = transformers("\(prefix)middle_block.1")
    transformerLayers = depths.enumerated().map { level, depth in
      depth > 0 ? depth : level == levels - 1 ? max(1, middle) : 1
    }
  }
}

extension JSON {
  fileprivate static func integers(_ values: [Int]) -> JSON { .array(values.map(JSON.integer)) }

  /// Returns the object with the members of another added.
  func adding(_ other: JSON) -> JSON {
    var members = object ?? .init()
    for (key, value) in other.object ?? .init() { members[key] = value }
    return .object(members)
  }
}
