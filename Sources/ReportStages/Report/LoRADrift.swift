import Files

/// How far a LoRA has moved the weights that it is added to.
struct LoRADrift {
  let model: ReportedModel
  /// The Euclidean norm of all that it adds.
  let norm: Double
  /// That of the weights themselves.
  let baseNorm: Double

  /// As a share of the weights' norm.
  var share: Double { baseNorm > 0 ? norm / baseNorm : 0 }

  var json: JSON { ["lora_norm": .number(norm), "share_of_weights": .number(share)] }
}
