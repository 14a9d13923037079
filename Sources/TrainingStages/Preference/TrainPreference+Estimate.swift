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
    return [.model(settings.model)] + NamedSource.vae(settings.vae)
      + (settings.kind == .latent && settings.start.isEmpty ? [] : [start])
  }

  /// The model that will come out.
  ///
  /// - Parameter precision: of its weights
  func plannedJudge(
    as precision: WeightPrecision, told: SPOSettings.JudgedTimestep
  ) throws -> PreferenceJudge {
    let start = ModelFolder(path: settings.start).planned(as: precision)
    if settings.kind == .pixel || !settings.start.isEmpty && start.isLatentPreferenceModel {
      return try PreferenceJudge(start, of: base, told: told)
    }
    return .latent(
      try base.planned(as: precision).startingLatentPreferenceModel(
        textProjection: nil, guidance: settings.featureGuidance, seed: settings.seed,
        isTrainable: false), told: told)
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let layout = try scale.layout(of: base)
    let estimated = Deferred(estimatedImages)
    let model = try plan.build { try makeModel(ImageStore(folder: nil), estimated) }
    var state = try plan.build {
      try makeState(model, moments: settings.optimizerOnDisk ? .plannedDisk : .memory)
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

    let held = heldOutViews(scale)
    let heldOutPairs = max(scale.volume.heldOutRows, scale.volume.evaluatedRows)
    let judged = Array(
      0..<max(
        1,
        DataVolume.together(
          min(settings.judgedAtOnce, settings.validationPairs), of: heldOutPairs)))
    let checkpoints = settings.steps / max(1, settings.checkpointEvery)
    let checked = checkpoints * selectedTimesteps * validationPairs(scale.volume.heldOutRows)
    try plan.run(times: Double(checked + held.evaluated) / Double(judged.count)) {
      try withoutGradients {
        try model.scores(heldOut, of: judged, judged.map { _ in .timestep(1) })
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
    let volume = scale.volume
    let block = DataVolume.together(
      ImageStore.blockSize, of: max(volume.rows(ofSplit: "train"), volume.evaluatedRows))
    let pairs = Array(0..<min(block, 2 * max(1, settings.estimateBatch)))
    let others = plan.hold(4 * 4 * (block - pairs.count) * 3 * estimated.side * estimated.side)
    let made = estimatedPairs(scale)
    for (view, count) in [(PreferenceView.draw(0), made.noised), (.clean, made.clean)] {
      try plan.run(times: Double(count) / Double(pairs.count)) {
        try estimated(data, of: pairs, pairs.map { _ in view })
      }
    }
    withExtendedLifetime(others) {}
  }

  /// Parts make images, and learn nothing.
  func planOfParts(_ scale: PipelineScale) throws -> (plan: StagePlan, byteCount: Int)? {
    var plan = StagePlan(on: PlanningBackend())
    let data = examples(
      PlannedComparisons(layout: try scale.layout(of: base), split: "train"))
    let side = try imageSide()
    try add(try plan.build(estimatedImages), of: data, scale, to: &plan)
    return (plan, 2 * keptPairs(scale) * 3 * side * side)
  }

  /// Files of images; none where the model sees latents.
  func itemCount(_ scale: PipelineScale) throws -> Int {
    settings.kind == .pixel
      ? (keptPairs(scale) + ImageStore.blockSize - 1) / ImageStore.blockSize : 0
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let count = try withBackend(PlanningBackend()) {
      try makeModel(store, Deferred(estimatedImages)).parameters.reduce(0) { $0 + $1.tensor.count }
    }
    let side = try settings.kind == .pixel ? imageSide() : 0
    let written = (settings.steps + settings.checkpointEvery - 1) / max(1, settings.checkpointEvery)
    // Weights and two moments, the newest two and one being written; the best weights and those that take
    // their place, if they are kept; and the model.
    let best = settings.keep == .best ? min(2, written) : 0
    let checkpoints =
      4 * count * (3 * min(3, written) + best) + settings.precision.byteCount * count
      + (settings.optimizerOnDisk ? 2 * 4 * count : 0)
    return checkpoints + 2 * keptPairs(scale) * 3 * side * side
  }

  /// Comparisons whose images are made once and kept, each as often as it is seen anew.
  private func keptPairs(_ scale: PipelineScale) -> Int {
    let views = settings.estimates + (settings.cleanSteps > 0 ? 1 : 0)
    return (settings.estimates > 0 ? views : 0) * scale.volume.rows(ofSplit: "train")
      + heldOutViews(scale).checked + heldOutViews(scale).evaluated
  }

  /// Comparisons, each as often as it is seen anew, that checkpoints are judged by beside those that the
  /// finished model is evaluated on.
  private func heldOutViews(_ scale: PipelineScale) -> (checked: Int, evaluated: Int) {
    let volume = scale.volume
    let checked = volume.testRows > 0 ? selectedTimesteps * validationPairs(volume.heldOutRows) : 0
    let views = 1 + settings.validationTimesteps.count
    return (checked, views * validationPairs(volume.evaluatedRows))
  }

  private var selectedTimesteps: Int {
    settings.validationTimesteps.count { $0 < settings.selectionLimit }
  }

  private func validationPairs(_ rows: Int) -> Int { min(settings.validationPairs, rows) }

  /// Comparisons whose images are made before they are looked at.
  private func estimatedPairs(_ scale: PipelineScale) -> (noised: Int, clean: Int) {
    let held = heldOutViews(scale)
    // One view of each that is evaluated is clean.
    let clean = validationPairs(scale.volume.evaluatedRows)
    let train = settings.estimates > 0 ? scale.volume.rows(ofSplit: "train") : 0
    return (
      held.checked + held.evaluated - clean + train * settings.estimates,
      clean + (settings.cleanSteps > 0 ? train : 0)
    )
  }

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
