import TrainingStages

/// The model without a LoRA, or with one: what an image in the report was drawn by.
struct ReportedModel: Equatable {
  /// The stage that made its LoRA; nil before tuning.
  let stage: TuningStage?
  /// In file names and captions: `before`, `after`; of several LoRAs the names of their stages.
  let name: String

  /// The model before tuning, then with the LoRA of each stage.
  static func all(_ stages: [TuningStage]) -> [ReportedModel] {
    [ReportedModel(stage: nil, name: "before")]
      + stages.map { ReportedModel(stage: $0, name: stages.count == 1 ? "after" : $0.rawValue) }
  }
}
