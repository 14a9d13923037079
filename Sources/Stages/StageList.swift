import DataStages
public import PipelineCore
import ReportStages
import TrainingStages
import WorldStages

/// All stages there are, in the order in which they run.
public var stageTypes: [any Stage.Type] {
  [
    TrainAutoencoder.self, TrainDenoiser.self, MakeComparisons.self,
    Ingest.self, Encode.self, Label.self, Shard.self, TrainPreference.self, TuneSPO.self,
    TuneDPO.self, Export.self, WriteReport.self,
  ]
}
