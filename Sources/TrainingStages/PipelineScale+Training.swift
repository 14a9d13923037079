import StageSupport

extension PipelineScale {
  /// How candidates are drawn.
  package var tuning: SPOSettings? { stage(TuneSPO.self)?.settings }
  /// How the preference model comes about.
  var training: TrainPreference? { stage(TrainPreference.self) }
}
