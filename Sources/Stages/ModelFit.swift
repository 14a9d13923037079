import Checkpoints
import DataStages
import Diffusion
public import PipelineCore
import ProceduralWorld
import StageSupport
import TrainingStages

extension Pipeline {
  /// Assumptions about the models, one line each.
  public var modelNotes: [String] {
    (try? ModelAgreement(madeStages()))?.folders.compactMap(\.assumption) ?? []
  }

  /// Rejects settings that do not suit the models they name, for every stage whether it has run or
  /// not.
  public func checkFit() throws {
    let stages = try madeStages()
    try ModelAgreement(stages).check()
    for stage in stages { try (stage as? any ModelFitting)?.checkFit() }
    if let train = stages.lazy.compactMap({ $0 as? TrainPreference }).first,
      let tune = stages.lazy.compactMap({ $0 as? TuneSPO }).first, tune.settings.preference == nil,
      !train.settings.stepAware, tune.settings.judgedTimestep != .zero
    {
      throw PipelineError.badSetting(
        path: "spo.judged_timestep",
        reason: "must be \"none\" where preference.step_aware is false, but is "
          + "\"\(tune.settings.judgedTimestep.rawValue)\": the model was trained only at timestep 0"
      )
    }
    if let label = stages.lazy.compactMap({ $0 as? Label }).first,
      let encode = stages.lazy.compactMap({ $0 as? Encode }).first
    {
      try label.settings.checkTokenizer(of: encode.settings)
    }
  }
}
