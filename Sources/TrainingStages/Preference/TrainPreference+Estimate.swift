import Autograd
import Backends
import Diffusion
import NN
import PipelineCore
import PreferenceModels
import StageSupport

extension TrainPreference: Estimating {
  var sources: [NamedSource] {
    let start = NamedSource.clip(
      "preference.start", settings.start,
      "the CLIP model to start from, such as PickScore v1")
    // A latent one starts from the model itself; a text projection is welcome.
    return settings.modelSources
      + (settings.kind == .latent && settings.start.isEmpty ? [] : [start])
  }

  /// The model that will come out.
  ///
  /// - Parameter precision: of its weights
  func plannedPreferenceScorer(
    as precision: WeightPrecision, timestep: SPOSettings.ConditioningTimestep
  ) throws -> PreferenceScorer {
    let start = ModelFolder(path: settings.start).planned(as: precision)
    if settings.kind == .pixel || !settings.start.isEmpty && start.isLatentPreferenceModel {
      return try PreferenceScorer(start, of: base, timestep: timestep)
    }
    return .latent(
      try base.planned(as: precision).startingLatentPreferenceModel(
        textProjection: nil, guidance: settings.featureGuidance, seed: settings.seed,
        isTrainable: false), timestep: timestep)
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let layout = try scale.layout(of: base)
    let estimated = Deferred(estimatedImages)
    let model = try plan.build { try makeModel(ImageStore(folder: nil), estimated) }
    var state = try plan.build {
      try makeState(model, moments: settings.optimizerOnDisk ? .disk(folder: folder) : .memory)
    }
    let data = examples(PlannedComparisons(layout: layout, split: "train"))
    let heldOut = examples(PlannedComparisons(layout: layout, split: "validation"))

    if let estimated = estimated.ifMade { try add(estimated, of: data, scale, to: &plan) }

    let step = PreferenceStep(
      model: model, microBatch: settings.microBatch, checkInterruption: {})
    let pairs = Array(0..<max(1, min(settings.batch, 2 * settings.microBatch)))
    let cleanSteps = min(settings.cleanSteps, settings.steps)
    var sum = GradientSum(state.parameters)
    for (view, steps) in [
      (PreferenceView.clean, cleanSteps), (.draw(0), settings.steps - cleanSteps),
    ] where steps > 0 {
      sum = GradientSum(state.parameters)
      sum = try plan.run(times: Double(steps * settings.batch) / Double(pairs.count)) {
        try step.gradients(for: state.parameters, data, of: pairs, pairs.map { _ in view }).sum
      }
    }
    try plan.run(times: Double(settings.steps)) { try state.update(sum.gradients, loss: 0) }
    sum = GradientSum(state.parameters)

    let volume = scale.volume
    let scored = Array(
      0..<max(
        1,
        DataVolume.largestBatch(
          min(settings.judgedAtOnce, settings.validationPairs),
          of: max(volume.heldOutRows, volume.evaluatedRows))))
    let checked = intervals.count * settings.checkedViews.count * judgedPairs(volume.heldOutRows)
    let evaluated = settings.evaluatedViews.count * judgedPairs(volume.evaluatedRows)
    try plan.run(times: Double(checked + evaluated) / Double(scored.count)) {
      try withoutGradients {
        try model.scores(heldOut, of: scored, scored.map { _ in .timestep(1) })
      }
    }
    return plan
  }

  /// Adds the making of all images.
  private func add(
    _ estimated: EstimatedImages, of data: PreferenceExamples, _ scale: PipelineScale,
    to plan: inout StagePlan
  ) throws {
    // A block is made some comparisons at a time; what was made of the others waits, twice when it is joined.
    let blocks = self.blocks(scale)
    let block = blocks.map(\.pairs.count).max() ?? ImageStore.blockSize
    let pairs = Array(0..<min(block, 2 * max(1, settings.estimateBatch)))
    let others = plan.hold(4 * 4 * (block - pairs.count) * 3 * estimated.side * estimated.side)
    for (view, some) in [
      (PreferenceView.draw(0), blocks.filter { $0.view != .clean }),
      (.clean, blocks.filter { $0.view == .clean }),
    ] {
      try plan.run(times: Double(some.pairCount) / Double(pairs.count)) {
        try estimated(data, of: pairs, pairs.map { _ in view })
      }
    }
    withExtendedLifetime(others) {}
  }

  /// Parts make images, and learn nothing.
  func planOfParts(
    _ scale: PipelineScale, on backend: any Backend
  ) throws -> (plan: StagePlan, byteCount: Int)? {
    var plan = StagePlan(on: backend)
    let data = examples(
      PlannedComparisons(layout: try scale.layout(of: base), split: "train"))
    try add(try plan.build(estimatedImages), of: data, scale, to: &plan)
    return (plan, blocks(scale).byteCount(side: try imageSide()))
  }

  /// Files of images; none where the model sees latents.
  func itemCount(_ scale: PipelineScale) throws -> Int { blocks(scale).count }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let count = try withBackend(PlanningBackend()) {
      try makeModel(store, Deferred(estimatedImages)).parameters.valueCount
    }
    // The best weights and those that take their place, if they are kept; and the model.
    let best = settings.keep == .best ? min(2, intervals.count) : 0
    return CheckpointIntervals.byteCount(valueCount: count, count: intervals.count)
      + count * (4 * best + settings.precision.byteCount + (settings.optimizerOnDisk ? 2 * 4 : 0))
      + (try settings.kind == .pixel ? blocks(scale).byteCount(side: imageSide()) : 0)
  }

  /// All images that are made once and kept.
  private func blocks(_ scale: PipelineScale) -> [ImageStore.Block] {
    let volume = scale.volume
    return trainingBlocks(count: volume.rows(ofSplit: "train"))
      + heldOutBlocks(
        ("validation", volume.heldOutRows),
        (volume.testRows > 0 ? "test" : "validation", volume.evaluatedRows))
  }

  private func judgedPairs(_ rows: Int) -> Int { min(settings.validationPairs, rows) }

  var savings: [String] {
    var savings: [String] = []
    if settings.microBatch > 1 { savings.append("preference.micro_batch=1") }
    if settings.kind == .pixel, settings.estimateBatch > 1 {
      savings.append("preference.estimate_batch=1")
    }
    if !settings.gradientCheckpointing { savings.append("preference.gradient_checkpointing=true") }
    if !settings.optimizerOnDisk { savings.append("preference.optimizer_on_disk=true") }
    return savings
  }
}

extension [ImageStore.Block] {
  fileprivate var pairCount: Int { reduce(0) { $0 + $1.pairs.count } }

  /// Of both images of each comparison.
  fileprivate func byteCount(side: Int) -> Int { pairCount * 2 * side * side * 3 }
}
