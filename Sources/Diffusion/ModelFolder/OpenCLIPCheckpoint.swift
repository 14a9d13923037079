package import Checkpoints

/// A whole OpenCLIP model, presented under transformers' names.
///
/// Tensors without such a name keep their own, so that the model's reader can see and reject them.
///
/// - Source: `open_clip/model.py`; transformers' `convert_clip_original_pytorch_to_hf.py`
package enum OpenCLIPCheckpoint {
  /// Whether a checkpoint uses OpenCLIP's names.
  package static func isOne(_ checkpoint: any CheckpointSource) -> Bool {
    checkpoint.find("visual.conv1.weight") != nil
  }

  /// - Throws: `CheckpointError` if a tensor does not have the shape that its name implies
  package static func renamed(
    _ checkpoint: any CheckpointSource
  ) throws -> any CheckpointSource {
    var origins: [String: RenamedCheckpoint.Origin] = [:]
    for entry in checkpoint.entries {
      for (name, origin) in names(entry) {
        guard origins.updateValue(origin, forKey: name) == nil else {
          throw CheckpointError.malformedTensor(
            path: checkpoint.path, tensor: entry.name, problem: "\(name) already exists")
        }
      }
    }
    return try RenamedCheckpoint(checkpoint, origins)
  }

  private static func names(_ entry: TensorEntry) -> [String: RenamedCheckpoint.Origin] {
    let rows = entry.shape.first ?? 0
    guard entry.name.hasPrefix(visionPrefix) else {
      let text = LDMNames.openCLIP(entry.name, rows: rows)
      return text.isEmpty ? [entry.name: .init(name: entry.name)] : text
    }
    let rest = String(entry.name.dropFirst(visionPrefix.count))
    if rest == "proj" {
      return ["visual_projection.weight": .init(name: entry.name, isTransposed: true)]
    }
    for (old, new) in visionEnds where rest.hasPrefix(old) {
      return ["vision_model.\(new)\(rest.dropFirst(old.count))": .init(name: entry.name)]
    }
    guard rest.hasPrefix("transformer.") else { return [entry.name: .init(name: entry.name)] }
    // The layers of both towers have the same names.
    let layers = LDMNames.openCLIP(rest, rows: rows).map { name, origin in
      var origin = origin
      origin.name = entry.name
      return ("vision_model.\(name.dropFirst("text_model.".count))", origin)
    }
    return layers.isEmpty
      ? [entry.name: .init(name: entry.name)] : Dictionary(uniqueKeysWithValues: layers)
  }

  private static let visionPrefix = "visual."

  private static let visionEnds = [
    ("class_embedding", "embeddings.class_embedding"),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("conv1.", "embeddings.patch_embedding."),
    ("ln_pre.", "pre_layrnorm."), ("ln_post.", "post_layernorm."),
  ]
}
