package import PipelineCore

/// A stage that makes a LoRA.
package enum TuningStage: String, CaseIterable {
  case spo
  case dpo

  /// What the stage does, as a heading.
  package var title: String {
    switch self {
    case .spo: "Step-by-step preference optimization"
    case .dpo: "Direct preference optimization"
    }
  }

  /// Where the LoRA lies in the workspace.
  package var loraFile: String { "\(rawValue)/pytorch_lora_weights.safetensors" }

  /// The artifact that the LoRA is.
  package var lora: Artifact {
    switch self {
    case .spo: "lora"
    case .dpo: "dpo-lora"
    }
  }

  /// The artifact of what was measured on the way.
  package var optimization: Artifact {
    switch self {
    case .spo: "optimization"
    case .dpo: "dpo-optimization"
    }
  }

  /// The files of what was measured on the way.
  var measurements: [String] { ["\(rawValue)/metrics.jsonl", "\(rawValue)/warnings.json"] }

  var writes: [Artifact: [String]] { [lora: [loraFile], optimization: measurements] }

  var fileNames: [String] {
    [loraFile] + CheckpointIntervals.fileNames(rawValue) + ["\(rawValue)/pictures/*.png"]
  }

  /// Those of the pipeline, in the order in which they run; the first one where it has none.
  package static func planned(in context: StageContext) -> [TuningStage] {
    let planned = allCases.filter { context.plans($0.rawValue) }
    return planned.isEmpty ? [.spo] : planned
  }
}
