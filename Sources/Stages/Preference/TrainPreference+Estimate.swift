import Diffusion
import NN
import PipelineCore
import PreferenceModels

extension TrainPreference: Estimating {
  var sources: [NamedSource] {
    [
      .model(settings.model),
      NamedSource(
        setting: "preference.start", path: settings.start,
        what: "the CLIP model to start from, such as PickScore v1"),
    ]
  }

  func judge() throws -> JudgeParts {
    JudgeParts(configuration: try ModelFolder(path: settings.start).preferenceConfiguration())
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, scale)
    let configuration = try ModelFolder(path: settings.start).preferenceConfiguration()
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    need.addTraining(of: configuration.weightCount)
    need.add("the best weights so far", bytes: 4 * configuration.weightCount)
    // Either pictures are made or gradients are computed.
    let estimating = max(
      try model.unetMemory().most * 4 * settings.estimateBatch,
      model.decodingMemory(pictures: 2 * settings.estimateBatch))
    let training =
      settings.microBatch
      * (2
        * configuration.vision.trainingMemory(
          tokens: configuration.visionTokens, isTimeConditioned: true)
        + configuration.text.transformer.trainingMemory(
          tokens: configuration.text.tokens, isTimeConditioned: false))
    need.add("passes", passing: max(estimating, training))
    return need
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let configuration = try ModelFolder(path: settings.start).preferenceConfiguration()
    // Weights, two moments and the best weights; the newest two and one being written; and the model.
    let checkpoints = 4 * configuration.weightCount * (3 * 4 + 1)
    let picture = 3 * configuration.imageSize * configuration.imageSize
    return checkpoints + 2 * keptPairs(scale) * picture
  }

  /// Comparisons whose pictures are made once and kept, each as often as it is seen anew.
  private func keptPairs(_ scale: PipelineScale) -> Int {
    let views = settings.estimates + (settings.cleanSteps > 0 ? 1 : 0)
    return (settings.estimates > 0 ? views : 0) * scale.volume.rows(ofSplit: "train")
      + (1 + settings.validationTimesteps.count) * validationPairs(scale)
  }

  private func validationPairs(_ scale: PipelineScale) -> Int {
    min(settings.validationPairs, scale.volume.heldOutRows)
  }

  func seconds(_ scale: PipelineScale, _ speed: MachineSpeed) throws -> Double {
    let model = try ModelParts(settings.model, scale)
    let configuration = try ModelFolder(path: settings.start).preferenceConfiguration()
    let decoding = speed.seconds(model.decodingWork(pictures: 2))
    let estimating = decoding + speed.seconds(try model.unetWork(rows: 4))
    let vision = configuration.visionWork() * 2
    let text = configuration.text.transformer.forwardWork(tokens: configuration.text.tokens)
    let scoring = speed.seconds(vision) + speed.seconds(text)
    let training =
      speed.trainingSeconds(vision, trainsWeights: true)
      + speed.trainingSeconds(text, trainsWeights: true)

    let seen = settings.steps * settings.batch
    let learning = Double(seen) * training
    // Those that are not kept are made at every step.
    let train = scale.volume.rows(ofSplit: "train")
    let held = validationPairs(scale)
    let cleanSeen = min(settings.cleanSteps, settings.steps) * settings.batch
    let estimates =
      settings.estimates > 0
      ? Double(settings.estimates * train) * estimating
        + (settings.cleanSteps > 0 ? Double(train) * decoding : 0)
      : Double(seen - cleanSeen) * estimating + Double(cleanSeen) * decoding
    let validationEstimates =
      Double(settings.validationTimesteps.count * held) * estimating + Double(held) * decoding
    let checkpoints = settings.steps / max(1, settings.checkpointEvery)
    let selected = settings.validationTimesteps.count { $0 < settings.selectionLimit }
    let evaluated = checkpoints * selected + 1 + settings.validationTimesteps.count
    return learning + estimates + validationEstimates + Double(evaluated * held) * scoring
  }

  var savings: [String] {
    (settings.microBatch > 1 ? ["preference.micro_batch=1"] : [])
      + (settings.estimateBatch > 1 ? ["preference.estimate_batch=1"] : [])
  }
}
