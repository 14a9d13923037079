package import PipelineCore

extension StageSettings {
  /// Refuses a stage whose diffusion model was not named.
  package func requireModel(_ model: String) throws(SettingConflict) {
    guard !model.isEmpty else {
      throw SettingConflict(
        "model", "is missing: the folder or file of the diffusion model, set once for all stages")
    }
  }
}
