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
    let batch = settings.microBatch
    let vision = configuration.vision.trainingMemory(
      tokens: configuration.visionTokens, isTimeConditioned: true)
    let text = configuration.text.transformer.trainingMemory(
      tokens: configuration.text.tokens, isTimeConditioned: false)
    need.add([
      .init(working: try model.unetMemory().most * 4 * settings.estimateBatch),
      .init(working: model.decodingMemory(pictures: 2 * settings.estimateBatch)),
      .init(kept: batch * (2 * vision + text), working: batch * 2 * model.pictureCount),
    ])
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

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    let decoding = 2 * times.decoding.seconds
    let estimating = decoding + 4 * times.unet.seconds
    let scoring = 2 * times.vision.seconds + times.judgedText.seconds
    let training =
      2 * times.vision.trainingSeconds(trainsWeights: true)
      + times.judgedText.trainingSeconds(trainsWeights: true)

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
