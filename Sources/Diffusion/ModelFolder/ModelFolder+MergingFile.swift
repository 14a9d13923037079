import Checkpoints
import Files
import Foundation

extension ModelFolder {
  /// Writes the model of a single file, with a LoRA added, like `writeMerged` for a folder.
  func writeMerged(
    _ ldm: LDMCheckpoint, _ addition: Addition, _ precision: WeightPrecision,
    to destination: String
  ) throws {
    let tokenizers = ldm.parts.filter { $0.hasPrefix("text_encoder") }.map {
      $0.replacingOccurrences(of: "text_encoder", with: "tokenizer")
    }
    let sources = try tokenizers.map { try tokenizerFolder($0) }
    guard hasPart("vae") else { throw LDMCheckpointError.lacksAutoencoder(path: path) }
    let parts = ldm.parts + (ldm.hasAutoencoder ? [] : ["vae"])
    try writeFolder(destination) { folder in
      for part in parts {
        if part == "vae", autoencoderPath != nil {
          try writePart(part, in: folder) { target in
            try copyPart(part, adding: addition, precision, to: target)
          }
          continue
        }
        guard let weights = try ldm.part(part) else { continue }
        let stem = part.hasPrefix("text_encoder") ? "model" : "diffusion_pytorch_model"
        try writePart(part, in: folder) { target in
          try writeText(try ldm.configuration(part).value, to: "\(target)/config.json")
          try MergedWeights(weights, part, addition, precision)
            .write(to: "\(target)/\(stem).safetensors")
        }
      }
      for (part, source) in zip(tokenizers, sources) {
        try writePart(part, in: folder) { target in
          try copyTokenizer(source.path, padding: source.padding, to: target)
        }
      }
      try writePart("scheduler", in: folder) { target in
        try writeText(
          try ldm.configuration("scheduler").value, to: "\(target)/scheduler_config.json")
      }
      try writeText(ldm.pipelineIndex, to: "\(folder)/\(Self.indexName)")
    }
  }

  /// Copies a tokenizer's files; its configuration states everything that libraries would otherwise
  /// have to guess.
  private func copyTokenizer(_ source: String, padding: String?, to target: String) throws {
    let files = try FolderReader(source, of: tokenizerPath ?? source)
    let configurationName = "tokenizer_config.json"
    let mapName = "special_tokens_map.json"
    for name in ["vocab.json", "merges.txt", "tokenizer.json", "added_tokens.json"]
    where files.names.contains(name) {
      try files.copy(name, to: target)
    }
    func object(_ name: String) throws -> JSON.Object? {
      guard files.names.contains(name) else { return nil }
      try files.requireInside(name)
      return try JSONReader(contentsOf: "\(source)/\(name)").object()
    }
    let tokenizer = try TokenizerFiles(folder: source, padding: padding)
    let roles = TokenizerFiles.Role.allCases.map { ($0.rawValue, tokenizer.text(for: $0)) }
    var configuration = try object(configurationName) ?? JSON.Object()
    configuration["tokenizer_class"] = "CLIPTokenizer"
    configuration["model_max_length"] = .integer(tokenizer.length)
    for (role, text) in roles { configuration[role] = .string(text) }
    try writeText(.object(configuration), to: "\(target)/\(configurationName)")
    if var map = try object(mapName) {
      for (role, text) in roles { map[role] = .string(text) }
      try writeText(.object(map), to: "\(target)/\(mapName)")
    }
  }
}

extension LDMCheckpoint {
  /// `model_index.json`: the parts of a pipeline and the classes that load them.
  fileprivate var pipelineIndex: JSON {
    let nothing: JSON = [nil, nil]
    let common: JSON = [
      "_diffusers_version": "0.30.0", "feature_extractor": nothing, "image_encoder": nothing,
      "text_encoder": ["transformers", "CLIPTextModel"],
      "tokenizer": ["transformers", "CLIPTokenizer"],
      "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    ]
    switch family {
    case .stableDiffusion1, .stableDiffusion2:
      let scheduler = family == .stableDiffusion1 ? "PNDMScheduler" : "DDIMScheduler"
      return common.adding([
        "_class_name": "StableDiffusionPipeline", "requires_safety_checker": false,
        "safety_checker": nothing, "scheduler": ["diffusers", .string(scheduler)],
      ])
    case .stableDiffusionXL:
      return common.adding([
        "_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
      ])
    }
  }
}
