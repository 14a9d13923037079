import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension TrainPreference: ModelFitting {
  func checkFit() throws {
    try settings.checkTokenizer()
    let model = settings.base
    guard let count = model.readableScheduler?.schedule.count else { return }
    try model.require(timestepLimit: settings.timestepLimit, of: "preference.timestep_limit")
    if let beyond = settings.validationTimesteps.first(where: { $0 >= count }) {
      throw PipelineError.badSetting(
        path: "preference.validation_timesteps",
        reason:
          "must be below \(count), the number of timesteps of \(settings.model), but one is \(beyond)"
      )
    }
  }
}

extension TrainPreference: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    let base = settings.base
    _ = try DDIMScheduler(checked.configuration(base).scheduler)
    let start = ModelFolder(path: settings.start)
    guard settings.kind == .latent, settings.start.isEmpty || !start.isLatentPreferenceModel
    else {
      return try checked.checkPreference(start, of: base, readsWeights: !settings.startsFresh)
    }
    try withBackend(PlanningBackend()) {
      _ = try base.startingLatentPreferenceModel(
        textProjection: settings.start.isEmpty ? nil : start, guidance: settings.featureGuidance,
        seed: settings.seed)
    }
  }
}

extension PreferenceSettings {
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  func checkTokenizer() throws {
    let start = ModelFolder(path: start)
    try passingOtherTokenizers {
      switch kind {
      case .pixel: try start.requirePreferenceTokens(of: base)
      case .latent:
        // Only the projection of a CLIP model is used.
        guard !self.start.isEmpty, start.isLatentPreferenceModel else { return }
        try start.requireLatentPreferenceTokens(of: base)
      }
    }
  }
}
