import Checkpoints
import Diffusion
public import PipelineCore
import ProceduralWorld

/// A stage whose settings may not suit the model they name: beyond its layers, its schedule or its size.
protocol ModelFitting: Stage {
  /// Reads configurations, and no weights. What is missing or damaged is for others to say.
  ///
  /// - Throws: `PipelineError.badSetting`, `PreferenceConfigurationError.otherTokenizer`
  func checkFit() throws
}

extension Pipeline {
  /// Refuses settings that do not suit the models they name, of every stage whether it has run or not.
  public func checkFit() throws {
    let stages = try madeStages()
    try ModelAgreement(stages).check()
    for stage in stages { try (stage as? any ModelFitting)?.checkFit() }
    if let train = stages.lazy.compactMap({ $0 as? TrainPreference }).first,
      let tune = stages.lazy.compactMap({ $0 as? TuneSPO }).first, tune.settings.preference == nil,
      !train.settings.stepAware, tune.settings.judgedTimestep != .untold
    {
      throw PipelineError.badSetting(
        path: "spo.judged_timestep",
        reason: "must be \"none\" where preference.step_aware is false, but is "
          + "\"\(tune.settings.judgedTimestep.rawValue)\": the model has learned no other timestep than 0"
      )
    }
    if let label = stages.lazy.compactMap({ $0 as? Label }).first,
      let encode = stages.lazy.compactMap({ $0 as? Encode }).first
    {
      try label.settings.checkTokenizer(of: encode.settings)
    }
  }
}

extension ModelFolder {
  /// The scheduler that the model names; nil where it has none that can be read.
  fileprivate var readableScheduler: DDIMScheduler? {
    guard Folders.exists(path) else { return nil }
    return try? DDIMScheduler(pipelineSchedulerConfig())
  }

  /// Refuses a number of sampling steps that the schedule does not have.
  fileprivate func require(steps: Int, of setting: String) throws {
    guard let scheduler = readableScheduler else { return }
    do {
      _ = try scheduler.timesteps(stepCount: steps)
    } catch let error as SchedulerError {
      throw PipelineError.badSetting(path: setting, reason: "\(error)")
    }
  }

  /// Refuses timesteps that the schedule does not have.
  fileprivate func require(timestepLimit: Int, of setting: String) throws {
    guard let count = readableScheduler?.schedule.count, timestepLimit > count else { return }
    throw PipelineError.badSetting(
      path: setting,
      reason: "must be at most \(count), the timesteps of \(path), but is \(timestepLimit)")
  }

  /// Refuses a rank above what the layers have.
  fileprivate func require(rank: Int, of setting: String) throws {
    guard let width = leastAttentionWidth, rank > width else { return }
    throw PipelineError.badSetting(
      path: setting,
      reason:
        "must be at most \(width), the width of the narrowest attention layer of \(path), but "
        + "is \(rank)")
  }

  /// The least width of the layers that a LoRA is added to; nil where the weights cannot be read.
  fileprivate var leastAttentionWidth: Int? {
    guard Folders.exists(path),
      let checkpoint = try? checkpoint("unet", stem: "diffusion_pytorch_model")
    else { return nil }
    return checkpoint.entries.filter { entry in
      entry.shape.count >= 2
        && TunedUNet.targets.contains { entry.name.hasSuffix("\($0).weight") }
    }.flatMap { $0.shape.prefix(2) }.min()
  }
}

extension TuneSPO: ModelFitting {
  func checkFit() throws {
    try requireOtherStart()
    try settings.checkTokenizer()
    let model = settings.base
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

extension TuneDPO: ModelFitting {
  func checkFit() throws {
    let model = settings.base
    try model.require(steps: settings.samplingSteps, of: "dpo.sampling_steps")
    try model.require(rank: settings.rank, of: "dpo.rank")
    try model.require(timestepLimit: settings.timestepLimit, of: "dpo.timestep_limit")
  }
}

extension TrainPreference: ModelFitting {
  func checkFit() throws {
    try settings.checkTokenizer()
    let model = settings.base
    guard let count = model.readableScheduler?.schedule.count else { return }
    try model.require(timestepLimit: settings.timestepLimit, of: "preference.timestep_limit")
    if let beyond = settings.validationTimesteps.first(where: { $0 >= count }) {
      throw PipelineError.badSetting(
        path: "preference.validation_timesteps",
        reason: "must be below \(count), the timesteps of \(settings.model), but one is \(beyond)")
    }
  }
}

extension Encode: ModelFitting {
  func checkFit() throws {
    guard let size = settings.size, Folders.exists(settings.model),
      let model = try? AutoencoderConfiguration(
        settings.base.configuration("vae"))
    else { return }
    let factor = model.reduction
    guard size.isMultiple(of: factor) else {
      throw PipelineError.badSetting(
        path: "encode.size",
        reason: "must be a multiple of \(factor), by which the autoencoder of \(settings.model) "
          + "reduces, but is \(size)")
    }
  }
}

extension WriteReport: ModelFitting {
  func checkFit() throws {
    try settings.base.require(steps: settings.samplingSteps, of: "report.sampling_steps")
    guard settings.oracle != .none, let side = try? ModelConfiguration(settings.base).imageSide,
      side != Picture.side
    else { return }
    throw PipelineError.badSetting(
      path: "report.oracle",
      reason: "judges pictures of \(Picture.side) x \(Picture.side) pixels, but "
        + "\(settings.model) draws \(side) x \(side)")
  }
}
