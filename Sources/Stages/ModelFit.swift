import Checkpoints
import Diffusion
public import PipelineCore

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

  /// The least width of the layers that a LoRA is added to; nil where the weights cannot be read.
  fileprivate var leastAttentionWidth: Int? {
    guard Folders.exists(path),
      let checkpoint = try? checkpoint("unet", stem: "diffusion_pytorch_model")
    else { return nil }
    return checkpoint.entries.filter { entry in
      entry.shape.count >= 2
        && StepwiseTuner.targets.contains { entry.name.hasSuffix("\($0).weight") }
    }.flatMap { $0.shape.prefix(2) }.min()
  }
}

extension TuneSPO: ModelFitting {
  func checkFit() throws {
    try settings.checkTokenizer()
    let model = settings.base
    try model.require(steps: settings.samplingSteps, of: "spo.sampling_steps")
    if let width = model.leastAttentionWidth, settings.rank > width {
      throw PipelineError.badSetting(
        path: "spo.rank",
        reason: "must be at most \(width), the width of the narrowest attention layer of "
          + "\(settings.model), but is \(settings.rank)")
    }
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

extension TrainPreference: ModelFitting {
  func checkFit() throws {
    try settings.checkTokenizer()
    let model = ModelFolder(path: settings.model, tokenizer: settings.tokenizer)
    guard let count = model.readableScheduler?.schedule.count else { return }
    guard settings.timestepLimit <= count else {
      throw PipelineError.badSetting(
        path: "preference.timestep_limit",
        reason: "must be at most \(count), the timesteps of \(settings.model), but is "
          + "\(settings.timestepLimit)")
    }
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
        ModelFolder(path: settings.model).configuration("vae"))
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
  }
}
