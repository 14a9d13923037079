import StageSupport

extension PipelineScale {
  /// The settings with which candidates are sampled.
  package var tuning: SPOSettings? { stage(TuneSPO.self)?.settings }
  /// The training of the preference model.
  var training: TrainPreference? { stage(TrainPreference.self) }
}
