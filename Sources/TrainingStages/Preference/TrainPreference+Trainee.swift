import Diffusion
import NN
import PreferenceModels
import Ranks

extension TrainPreference {
  /// The model to train, and what makes its images where it sees any.
  func makeTrainee(
    _ store: ImageStore
  ) throws -> (any TrainablePreferenceModel, EstimatedImages?) {
    try settings.kind == .pixel ? pixelTrainee(store) : (latentTrainee(), nil)
  }

  func makeState(
    _ trainee: any TrainablePreferenceModel, moments: AdamW.MomentPlace,
    ranks: Communicator = Communicator()
  ) throws -> TrainingState {
    try TrainingState(
      trainee.parameters,
      optimizer: .init(beta2: settings.beta2, weightDecay: settings.weightDecay),
      schedule: .init(
        peak: settings.learningRate, warmUp: settings.warmUp, warmUpSteps: settings.warmUpSteps,
        decay: .linear, steps: settings.steps),
      gradientLimit: settings.gradientLimit, moments: moments, ranks: ranks)
  }

  private func pixelTrainee(
    _ store: ImageStore
  ) throws -> (any TrainablePreferenceModel, EstimatedImages?) {
    let start = ModelFolder(path: settings.start)
    var (model, weights) =
      settings.startsFresh
      ? try start.freshPreferenceModel(seed: settings.seed)
      : try start.preferenceModel(isTrainable: true, seed: settings.seed)
    model.usesGradientCheckpointing = settings.gradientCheckpointing
    let estimated = try estimatedImages(side: model.configuration.imageSize)
    return (
      TrainablePixelModel(
        model: model, parameters: weights.parameters, estimated: estimated, store: store,
        storesTraining: settings.estimates > 0, start: settings.start,
        isStepAware: settings.stepAware), estimated
    )
  }

  /// What makes the images that a model of pixels sees: all that a part needs.
  func estimatedImages(side: Int) throws -> EstimatedImages {
    let scheduler = try DDIMScheduler(base.pipelineSchedulerConfig())
    let estimator = CleanEstimator(
      unet: GuidedUNet(try base.unet().model, guidance: settings.guidance),
      autoencoder: try base.autoencoder().model, schedule: scheduler.schedule,
      prediction: scheduler.predictionType)
    return EstimatedImages(
      estimator: estimator, batch: max(1, settings.estimateBatch),
      side: side)
  }

  private func latentTrainee() throws -> any TrainablePreferenceModel {
    let start = ModelFolder(path: settings.start)
    var model =
      try !settings.start.isEmpty && start.isLatentPreferenceModel
      ? start.latentPreferenceModel(of: base, isTrainable: true)
      : base.startingLatentPreferenceModel(
        textProjection: settings.start.isEmpty ? nil : start,
        guidance: settings.featureGuidance, seed: settings.seed)
    model.usesGradientCheckpointing = settings.gradientCheckpointing
    return TrainableLatentModel(
      model: model, schedule: try DDIMScheduler(base.pipelineSchedulerConfig()).schedule,
      base: base,
      isStepAware: settings.stepAware)
  }
}
