import DataStages
public import PipelineCore
import ReportStages
import TrainingStages
import WorldStages

/// All available stages, in execution order.
public var stageTypes: [any Stage.Type] {
  [
    TrainAutoencoder.self, TrainDenoiser.self, MakeComparisons.self,
    Ingest.self, Encode.self, Label.self, Shard.self, TrainPreference.self, TuneSPO.self,
    TuneDPO.self, Export.self, WriteReport.self,
  ]
}
