import Files

/// The distance by which a LoRA has moved the weights that it is added to.
struct LoRADrift {
  let model: ReportedModel
  /// The Euclidean norm of its whole contribution.
  let norm: Double
  /// The norm of the base weights.
  let baseNorm: Double

  /// The fraction of the base norm.
  var share: Double { baseNorm > 0 ? norm / baseNorm : 0 }

  var json: JSON { ["lora_norm": .number(norm), "share_of_weights": .number(share)] }
}
