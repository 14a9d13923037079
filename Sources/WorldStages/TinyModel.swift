import Checkpoints
import Files
import NN
import ProceduralWorld
import TrainingStages

/// The configuration of the embedded model: a Stable Diffusion in miniature, in the layout of diffusers.
enum TinyModel {
  static let imageSide = WorldImage.side
  static let latentSide = WorldImage.cellsPerSide

  static let autoencoder: JSON = [
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [8, 16, 32, 48],
    "down_block_types": .array(.init(repeating: "DownEncoderBlock2D", count: 4)),
    "force_upcast": false, "in_channels": 3, "latent_channels": 4, "layers_per_block": 1,
    "norm_num_groups": 4, "out_channels": 3, "sample_size": .integer(imageSide),
    "scaling_factor": 1.0,
    "up_block_types": .array(.init(repeating: "UpDecoderBlock2D", count: 4)),
  ]

  static let unet: JSON = [
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 4,
    "block_out_channels": [32, 64], "center_input_sample": false, "cross_attention_dim": 64,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "downsample_padding": 1,
    "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 1,
    "norm_eps": 1e-5, "norm_num_groups": 8, "out_channels": 4, "sample_size": 16,
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "use_linear_projection": true,
  ]

  static func textEncoder(_ tokenizer: TinyTokenizer) -> JSON {
    [
      "architectures": ["CLIPTextModel"], "model_type": "clip_text_model",
      "hidden_act": "quick_gelu", "hidden_size": 64, "intermediate_size": 128,
      "layer_norm_eps": 1e-5, "max_position_embeddings": .integer(TinyTokenizer.length),
      "num_attention_heads": 4, "num_hidden_layers": 2, "projection_dim": 64,
      "vocab_size": .integer(tokenizer.vocabulary.count),
      "bos_token_id": .integer(tokenizer.vocabulary.count - 2),
      "eos_token_id": .integer(tokenizer.vocabulary.count - 1),
      "pad_token_id": .integer(tokenizer.vocabulary.count - 1),
    ]
  }

  static let scheduler: JSON = [
    "_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "set_alpha_to_one": false, "steps_offset": 1,
    "timestep_spacing": "leading", "trained_betas": nil,
  ]

  static let index: JSON = [
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0",
    "feature_extractor": [nil, nil], "requires_safety_checker": false,
    "safety_checker": [nil, nil], "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
  ]
}

/// Writes parameters as a model file.
///
/// - Parameters:
///   - prefix: a scope that their names begin with and the file's do not
///   - type: their precision
func writeModel(
  _ parameters: [Parameter], dropping prefix: String = "", type: ElementType = .f16,
  to path: String
) throws {
  try writeSafetensors(
    parameters.map { parameter in
      OutgoingTensor(
        String(parameter.name.dropFirst(prefix.count)), type: type, storing: parameter)
    }, metadata: ["format": "pt"], to: path)
}
