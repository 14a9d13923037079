import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension TuneDPO: ModelFitting {
  func checkFit() throws {
    try requireOtherStart()
    let model = settings.base
    try model.require(steps: settings.samplingSteps, of: "dpo.sampling_steps")
    try model.require(rank: settings.rank, of: "dpo.rank")
    try model.require(timestepLimit: settings.timestepLimit, of: "dpo.timestep_limit")
  }
}

extension TuneDPO: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
    if let start = settings.start {
      try StartingLoRA(path: start, of: settings.base, stage: Self.name).requireFit(
        rank: settings.rank, of: settings.base)
    }
  }
}
