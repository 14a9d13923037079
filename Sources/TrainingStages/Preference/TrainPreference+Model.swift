import Autograd
import Diffusion
import Files
import NN
import PipelineCore
import PreferenceModels
import Ranks
import StageSupport

extension TrainPreference {
  /// Returns the model to train.
  ///
  /// - Parameters:
  ///   - store: the store of its images, if it uses any
  ///   - estimated: generates them
  func makeModel(
    _ store: ImageStore, _ estimated: Deferred<EstimatedImages>
  ) throws -> any TrainablePreferenceModel {
    try settings.kind == .pixel ? pixelModel(store, estimated()) : latentModel()
  }

  /// Returns where the optimizer keeps its moments; on a disk they must fit.
  func momentPlace(of model: any TrainablePreferenceModel) throws -> AdamW.MomentPlace {
    guard settings.optimizerOnDisk else { return .memory }
    if context.ranks.isFirst {
      let count = model.parameters.reduce(0) { $0 + $1.tensor.count }
      try DiskSpace.require(8 * count, at: folder, for: "the optimizer's moments")
    }
    return .disk(folder: folder)
  }

  func makeState(
    _ model: any TrainablePreferenceModel, moments: AdamW.MomentPlace,
    ranks: Communicator = Communicator()
  ) throws -> TrainingState {
    try TrainingState(
      model.parameters,
      optimizer: .init(beta2: settings.beta2, weightDecay: settings.weightDecay),
      schedule: .init(
        peak: settings.learningRate, warmUp: settings.warmUp, warmUpSteps: settings.warmUpSteps,
        decay: .linear, steps: settings.steps),
      gradientLimit: settings.gradientLimit, moments: moments, ranks: ranks)
  }

  private func pixelModel(
    _ store: ImageStore, _ estimated: EstimatedImages
  ) throws -> TrainablePixelModel {
    let start = ModelFolder(path: settings.start)
    var (model, weights) =
      settings.startsFresh
      ? try start.freshPreferenceModel(seed: settings.seed)
      : try start.preferenceModel(isTrainable: true, seed: settings.seed)
    model.usesGradientCheckpointing = settings.gradientCheckpointing
    return TrainablePixelModel(
      model: model, parameters: weights.parameters, estimated: estimated, store: store,
      storesTraining: settings.estimates > 0, start: settings.start,
      isStepAware: settings.stepAware)
  }

  /// Returns the generator of a pixel model's images: everything that a part needs.
  func estimatedImages() throws -> EstimatedImages {
    let scheduler = try DDIMScheduler(base.pipelineSchedulerConfig())
    let estimator = CleanEstimator(
      unet: GuidedUNet(try base.unet().model, guidance: settings.guidance),
      autoencoder: try base.autoencoder().model, schedule: scheduler.schedule,
      prediction: scheduler.predictionType)
    return EstimatedImages(
      estimator: estimator, batch: max(1, settings.estimateBatch), side: try imageSide())
  }

  private func latentModel() throws -> TrainableLatentModel {
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
