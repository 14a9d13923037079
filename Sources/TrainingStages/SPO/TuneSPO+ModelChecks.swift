import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension TuneSPO: ModelFitting {
  func checkFit() throws {
    try requireOtherStart()
    try settings.checkTokenizer()
    let model = settings.base
    try settings.heldOutOracle.requireFit(
      model, setting: "spo.held_out_oracle", prompts: nil, from: "")
    try model.require(steps: settings.samplingSteps, of: "spo.sampling_steps")
    try model.require(rank: settings.rank, of: "spo.rank")
    guard let scheduler = model.readableScheduler else { return }
    let timesteps = try scheduler.timesteps(stepCount: settings.samplingSteps)
    let compared = try settings.comparedSteps.contains { step in
      try scheduler.transition(
        from: [timesteps[step]], stepCount: settings.samplingSteps, eta: settings.eta
      ).rows[0].sigma > 0
    }
    guard compared else {
      throw PipelineError.badSetting(
        path: "spo.divert_step",
        reason: "from step \(settings.divertStep) on no step adds noise, so no candidates could be "
          + "compared; lower it")
    }
  }
}

extension TuneSPO: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
    try NamedScorers(settings.heldOutScorers).checkWeights(of: settings.base)
    if let start = settings.start {
      try StartingLoRA(path: start, of: settings.base, stage: Self.name).requireFit(
        rank: settings.rank, of: settings.base)
    }
    guard let preference = settings.preference else { return }
    try checked.checkPreference(ModelFolder(path: preference), of: settings.base)
  }
}

extension SPOSettings {
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  func checkTokenizer() throws {
    guard let folder = preference.map({ ModelFolder(path: $0) }) else { return }
    try passingOtherTokenizers {
      if folder.isLatentPreferenceModel {
        try folder.requireLatentPreferenceTokens(of: base)
      } else {
        try folder.requirePreferenceTokens(of: base)
      }
    }
  }
}
