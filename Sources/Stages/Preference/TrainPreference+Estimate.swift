import Diffusion
import NN
import PipelineCore
import PreferenceModels

extension TrainPreference: Estimating {
  var sources: [NamedSource] {
    let start = NamedSource(
      setting: "preference.start", path: settings.start,
      what: "the CLIP model to start from, such as PickScore v1")
    // A latent one starts from the model itself; a text projection is welcome.
    return [.model(settings.model)]
      + (settings.kind == .latent && settings.start.isEmpty ? [] : [start])
  }

  /// The preference model that will come out.
  func judge(_ scale: PipelineScale) throws -> JudgeParts {
    switch settings.kind {
    case .pixel:
      .pixel(try ModelFolder(path: settings.start).preferenceConfiguration())
    case .latent:
      .latent(
        .init(
          model: try ModelParts(settings.model, scale),
          hasGuidance: settings.featureGuidance != 1))
    }
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let judge = try judge(scale)
    let count = try judge.weightCount()
    var need = MemoryNeed()
    var passes = [
      try judge.training(
        pairs: settings.microBatch, isCheckpointed: settings.gradientCheckpointing)
    ]
    if settings.kind == .pixel {
      // Either pictures are made or gradients are computed.
      let model = try ModelParts(settings.model, scale)
      need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
      need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
      passes += [
        .init(working: try model.unetMemory().most * 4 * settings.estimateBatch),
        .init(working: model.decodingMemory(pictures: 2 * settings.estimateBatch)),
      ]
    }
    need.addTraining(of: count, momentsAreOnDisk: settings.optimizerOnDisk)
    need.add(passes)
    return need
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let judge = try judge(scale)
    let count = try judge.weightCount()
    let written = (settings.steps + settings.checkpointEvery - 1) / max(1, settings.checkpointEvery)
    // Weights and two moments, the newest two and one being written; the best weights and those that take
    // their place, if they are kept; and the model.
    let best = settings.keep == .best ? min(2, written) : 0
    let checkpoints =
      4 * count * (3 * min(3, written) + best) + settings.precision.byteCount * count
      + (settings.optimizerOnDisk ? 2 * 4 * count : 0)
    guard case .pixel(let configuration) = judge else { return checkpoints }
    let picture = 3 * configuration.imageSize * configuration.imageSize
    return checkpoints + 2 * keptPairs(scale) * picture
  }

  /// Comparisons whose pictures are made once and kept, each as often as it is seen anew.
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

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    let scoring = 2 * times.judging.seconds + times.judgedText.seconds
    let again = settings.gradientCheckpointing ? scoring : 0
    let training =
      2 * times.judging.trainingSeconds(trainsWeights: true)
      + times.judgedText.trainingSeconds(trainsWeights: true) + again
    let checkpoints = settings.steps / max(1, settings.checkpointEvery)
    let checked = checkpoints * selectedTimesteps * validationPairs(scale.volume.heldOutRows)
    return Double(settings.steps * settings.batch) * training
      + Double(checked + heldOutViews(scale).evaluated) * scoring + picturesSeconds(scale, times)
  }

  /// The time to make the pictures that a model of pixels is shown.
  private func picturesSeconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    guard settings.kind == .pixel else { return 0 }
    let decoding = 2 * times.decoding.seconds
    let estimating = decoding + 2 * times.unet.seconds
    let held = heldOutViews(scale)
    // One view of each that is evaluated is clean.
    let clean = validationPairs(scale.volume.evaluatedRows)
    let validation =
      Double(held.checked + held.evaluated - clean) * estimating + Double(clean) * decoding
    guard settings.estimates == 0 else {
      let train = Double(scale.volume.rows(ofSplit: "train"))
      return validation + train * Double(settings.estimates) * estimating
        + (settings.cleanSteps > 0 ? train * decoding : 0)
    }
    // Those that are not kept are made at every step.
    let cleanRows = min(settings.cleanSteps, settings.steps) * settings.batch
    let noised = settings.steps * settings.batch - cleanRows
    return validation + Double(noised) * estimating + Double(cleanRows) * decoding
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
