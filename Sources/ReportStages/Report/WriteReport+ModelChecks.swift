import Backends
import Diffusion
import Evaluation
import Files
import PipelineCore
import PreferenceModels
import StageSupport

extension WriteReport: ModelFitting {
  func checkFit() throws {
    try settings.base.require(steps: settings.samplingSteps, of: "report.sampling_steps")
    // Those of a split do not exist yet; a missing list is reported for its setting.
    let prompts =
      settings.split == nil && PathKind(of: settings.prompts) != nil ? try prompts() : nil
    try settings.oracle.requireFit(
      settings.base, setting: "report.oracle", prompts: prompts, from: settings.prompts)
  }
}

extension WriteReport: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
    for path in settings.beside where Folders.exists(path) {
      try RunSummary.requireReadable(path)
    }
    if let lora = settings.negativeLora.map({ NegativeLoRA($0) }) {
      let file = try LoRAFile(path: lora.path)
      try file.requireUNetAlone()
      _ = try file.weights(for: settings.base.unetLayers())
    }
    try NamedScorers(settings.scorers).checkWeights(of: settings.base)
  }
}
