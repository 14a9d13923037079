import TrainingStages

/// The model that generated an image of the report: without a LoRA, or with one.
struct ReportedModel: Equatable {
  /// The stage that trained its LoRA; nil before tuning.
  let stage: TuningStage?
  /// The name in file names and captions: `before`, `after`; with several LoRAs the names of their
  /// stages.
  let name: String

  /// Returns the model before tuning, then with the LoRA of each stage.
  static func all(_ stages: [TuningStage]) -> [ReportedModel] {
    [ReportedModel(stage: nil, name: "before")]
      + stages.map { ReportedModel(stage: $0, name: stages.count == 1 ? "after" : $0.rawValue) }
  }
}
