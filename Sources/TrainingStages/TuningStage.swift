package import PipelineCore

/// A stage that produces a LoRA.
package enum TuningStage: String, CaseIterable {
  case spo
  case dpo

  /// The stage's title.
  package var title: String {
    switch self {
    case .spo: "Step-by-step preference optimization"
    case .dpo: "Direct preference optimization"
    }
  }

  /// The path of the LoRA in the workspace.
  package var loraFile: String { "\(rawValue)/pytorch_lora_weights.safetensors" }

  /// The artifact of the LoRA.
  package var lora: Artifact {
    switch self {
    case .spo: "lora"
    case .dpo: "dpo-lora"
    }
  }

  /// The artifact of the training measurements.
  package var optimization: Artifact {
    switch self {
    case .spo: "optimization"
    case .dpo: "dpo-optimization"
    }
  }

  /// The files of the training measurements.
  var measurements: [String] { ["\(rawValue)/metrics.jsonl", "\(rawValue)/warnings.json"] }

  var writes: [Artifact: [String]] { [lora: [loraFile], optimization: measurements] }

  var fileNames: [String] {
    [loraFile] + CheckpointIntervals.fileNames(rawValue) + ["\(rawValue)/pictures/*.png"]
  }

  /// Returns the pipeline's tuning stages in execution order; the first kind if it has none.
  package static func planned(in context: StageContext) -> [TuningStage] {
    let planned = allCases.filter { context.plans($0.rawValue) }
    return planned.isEmpty ? [.spo] : planned
  }
}
