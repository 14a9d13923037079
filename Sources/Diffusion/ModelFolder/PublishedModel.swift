package import Files

/// A model with known configurations, for planning before its files exist.
package struct PublishedModel: Sendable {
  /// Its authors' name for it.
  package let name: String
  /// The files by part and name, such as `unet/config.json`.
  private let files: [String: JSON]

  /// Stand-ins for nonexistent model folders, by path.
  @TaskLocal package static var standIns: [String: PublishedModel] = [:]

  package func configuration(_ part: String, _ file: String = "config.json") throws -> JSONReader {
    let name = part == "." ? file : "\(part)/\(file)"
    return JSONReader(files[name] ?? .object(JSON.Object()), path: "\(self.name): \(name)")
  }

  func hasPart(_ part: String) -> Bool { files.keys.contains { $0.hasPrefix("\(part)/") } }

  /// Returns the model that a path seems to name; nil if none.
  ///
  /// - Parameter isCLIP: whether a CLIP model is wanted, rather than a diffusion model
  package static func named(by path: String, isCLIP: Bool) -> PublishedModel? {
    let name = (path.split(separator: "/").last.map(String.init) ?? "").lowercased()
    func says(_ words: [String]) -> Bool { words.contains { name.contains($0) } }
    if isCLIP {
      // A step-aware preference model is PickScore with layers that planning adds.
      if says(["pickscore", "step-aware", "vit-h", "vit_h"]) { return clipHuge }
      return says(["clip-vit-large", "vit-l"]) ? clipLarge : nil
    }
    if says(["xl"]) { return stableDiffusionXL }
    return says(["v1-", "v1.", "sd15", "sd1.", "sd-1"]) ? stableDiffusion1 : nil
  }
}

extension PublishedModel {
  package static let stableDiffusion1 = PublishedModel(
    name: "Stable Diffusion v1.5",
    files: [
      "unet/config.json": ["cross_attention_dim": 768, "sample_size": 64],
      "vae/config.json": autoencoder(side: 512, scale: 0.18215),
      "text_encoder/config.json": [
        "model_type": "clip_text_model", "hidden_size": 768, "intermediate_size": 3072,
        "num_attention_heads": 12, "num_hidden_layers": 12, "eos_token_id": 2,
      ],
      "scheduler/scheduler_config.json": scheduler,
    ])

  package static let stableDiffusionXL = PublishedModel(
    name: "Stable Diffusion XL",
    files: [
      "unet/config.json": [
        "block_out_channels": [320, 640, 1280], "sample_size": 128,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
        "use_linear_projection": true,
      ],
      "vae/config.json": autoencoder(side: 1024, scale: 0.13025),
      "text_encoder/config.json": [
        "model_type": "clip_text_model", "hidden_size": 768, "intermediate_size": 3072,
        "num_attention_heads": 12, "num_hidden_layers": 12, "eos_token_id": 2,
      ],
      "text_encoder_2/config.json": [
        "model_type": "clip_text_model", "hidden_act": "gelu", "hidden_size": 1280,
        "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32,
        "projection_dim": 1280, "eos_token_id": 2,
      ],
      "scheduler/scheduler_config.json": scheduler,
    ])

  /// CLIP ViT-H/14, the base of PickScore.
  package static let clipHuge = PublishedModel(
    name: "CLIP ViT-H/14",
    files: [
      "config.json": [
        "model_type": "clip", "projection_dim": 1024,
        "text_config": [
          "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096,
          "num_attention_heads": 16, "num_hidden_layers": 24,
        ],
        "vision_config": [
          "hidden_act": "gelu", "hidden_size": 1280, "image_size": 224, "intermediate_size": 5120,
          "num_attention_heads": 16, "num_hidden_layers": 32, "patch_size": 14,
        ],
      ]
    ])

  package static let clipLarge = PublishedModel(
    name: "CLIP ViT-L/14",
    files: [
      "config.json": [
        "model_type": "clip", "projection_dim": 768,
        "text_config": [
          "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
          "num_hidden_layers": 12,
        ],
        "vision_config": [
          "hidden_size": 1024, "image_size": 224, "intermediate_size": 4096,
          "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14,
        ],
      ]
    ])

  private static func autoencoder(side: Int, scale: Double) -> JSON {
    let level: JSON = "DownEncoderBlock2D"
    let upLevel: JSON = "UpDecoderBlock2D"
    return [
      "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
      "down_block_types": [level, level, level, level],
      "up_block_types": [upLevel, upLevel, upLevel, upLevel], "sample_size": .integer(side),
      "scaling_factor": .number(scale), "force_upcast": .bool(scale == 0.13025),
    ]
  }

  private static let scheduler: JSON = [
    "_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "clip_sample": false,
    "set_alpha_to_one": false, "steps_offset": 1,
  ]
}
