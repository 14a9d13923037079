import Diffusion
import NN
import PipelineCore
import PreferenceModels
import StepwiseOptimization

extension TuneSPO: Estimating {
  var sources: [NamedSource] {
    [.model(settings.model)]
      + (settings.preference.map {
        [
          NamedSource(
            setting: "spo.preference", path: $0, what: "the trained preference model to judge by")
        ]
      } ?? [])
  }

  /// The preference model that is given; nil where it is trained.
  func givenJudge(
    _ scale: PipelineScale
  ) throws -> (parts: JudgeParts, precision: WeightPrecision)? {
    guard let folder = settings.preference.map({ ModelFolder(path: $0) }) else { return nil }
    let isLatent = folder.isLatentPreferenceModel
    let weights = WeightSize(
      of: try isLatent
        ? folder.checkpoint("unet", stem: "diffusion_pytorch_model") : folder.preferenceCheckpoint()
    )
    let parts: JudgeParts =
      isLatent
      ? .latent(
        .init(
          model: try ModelParts(settings.model, scale),
          hasGuidance: try folder.latentPreferenceGuidance() != 1))
      : .pixel(try folder.preferenceConfiguration())
    return (parts, weights.isFull ? .f32 : .f16)
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, scale)
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    need.addTraining(of: model.unet.adapterWeightCount(rank: settings.rank))
    let judge = scale.preference
    let stored = scale.preferencePrecision.byteCount
    let precision = min(stored, settings.preferencePrecision.narrowing?.byteCount ?? stored)
    let ofPrompts = judge?.promptWeightCount ?? 0
    need.add(
      "weights of the preference model",
      bytes: precision * ((try judge?.weightCount() ?? 0) - ofPrompts))

    let candidates = max(1, settings.promptsAtOnce) * settings.candidates
    let unet = try model.unetMemory(rank: settings.rank)
    let trained = unet.training(isCheckpointed: settings.gradientCheckpointing)
    let rows = rowsOfPair * max(1, min(settings.microBatch, settings.pairBatch))
    let isLatent = judge?.isLatent ?? false
    need.add([
      // Before a batch: prompts are read by what is then let go of.
      .init(kept: ofPrompts * precision / 4, working: settings.batch * (judge?.promptPassing ?? 0)),
      // What is drawn goes through the U-Net with and without guidance: every candidate, unless they are
      // judged as they are.
      .init(working: unet.most * 2 * (isLatent ? max(1, settings.promptsAtOnce) : candidates)),
      .init(
        kept: 2 * candidates * model.pictureCount,
        working: isLatent ? 0 : model.decodingMemory(pictures: candidates)),
      .init(working: candidates * (try judge?.passing() ?? 0)),
      .init(kept: rows * trained.kept, working: rows * trained.working),
    ])
    return need
  }

  /// Each latent with and without guidance; after steps that they go on alone, winner and loser have their own.
  private var rowsOfPair: Int { settings.innerSteps > 0 || settings.labels == .trajectory ? 4 : 2 }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = try ModelParts(settings.model, scale)
    // Values, two moments and what is carried over, the newest two and one being written; and the LoRA.
    let lora = 4 * model.unet.adapterWeightCount(rank: settings.rank)
    let kept = settings.gradientAccumulation > 1 ? 4 : 3
    // PNG takes about two bytes a pixel.
    return lora * (3 * kept + 1)
      + (2 + settings.epochs) * settings.pictures * model.pictureCount * 2 / 3
  }

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    let guided = times.unet.seconds
    let decoding = times.decoding.seconds
    let isLatent = scale.preference?.isLatent ?? false
    let judging = times.judging.seconds + (isLatent ? 0 : decoding)
    let run = settings.samplingRun(judgesLatents: isLatent)

    // The reference, and what is trained.
    let again = settings.gradientCheckpointing ? 1.0 : 0
    let training =
      Double(rowsOfPair / 2)
      * ((1 + again) * guided + times.unet.trainingSeconds(trainsWeights: false))
    let prompt =
      Double(run.rows) * guided + Double(run.judged) * judging
      + settings.keptShare * Double(run.pairs) * training
    let picture = Double(settings.samplingSteps) * guided + decoding

    let prompts = min(
      settings.prompts, settings.onlyListed ? scale.volume.listedPrompts : scale.volume.prompts)
    let batchesPerEpoch = (prompts + settings.batch - 1) / max(1, settings.batch)
    let all = batchesPerEpoch * settings.epochs
    let batches = settings.iterations > 0 ? min(settings.iterations, all) : all
    let drawn = 2 + (batchesPerEpoch > 0 ? batches / batchesPerEpoch : 0)
    return Double(batches * settings.batch) * prompt + Double(drawn * settings.pictures) * picture
  }

  var savings: [String] {
    (settings.microBatch > 1 ? ["spo.micro_batch=1"] : [])
      + (settings.promptsAtOnce > 1 ? ["spo.prompts_at_once=1"] : [])
      + (settings.gradientCheckpointing ? [] : ["spo.gradient_checkpointing=true"])
      + (settings.preferencePrecision == .asStored ? ["spo.preference_precision=f16"] : [])
  }
}

extension SPOSettings {
  /// The share of comparisons whose preference is clear enough to give a pair.
  ///
  /// Models and prompts differ: 0.86 at a threshold of 0.05 and 0.40 at one of 0.42, measured on the
  /// embedded models.
  fileprivate var keptShare: Double {
    let threshold = (threshold + max(threshold, highestThreshold ?? threshold)) / 2
    return min(1, max(0.1, 0.92 - 1.24 * threshold))
  }

  /// What sampling of one prompt comes to: latents that go through the U-Net, candidates that are judged,
  /// and pairs at most.
  ///
  /// - Parameter judgesLatents: candidates are judged as they are, so that only the one that sampling goes
  ///   on from goes through the U-Net
  package func samplingRun(judgesLatents: Bool) -> (rows: Int, judged: Int, pairs: Int) {
    let comparedSteps = sampling(promptsAtOnce: 1, seed: seed).comparedSteps
    var (rows, judged, pairs) = (1, 0, 0)
    var partedAt: Int?
    for step in 0..<samplingSteps {
      if partedAt == nil, step >= comparedSteps.upperBound { break }
      if partedAt == nil, comparedSteps.contains(step) { partedAt = step }
      let isLast = step == samplingSteps - 1
      let candidates = partedAt == nil ? 1 : candidates
      let isJudged =
        partedAt.map { isLast || labels == .step && step - $0 == innerSteps } ?? false
      rows += isLast ? 0 : isJudged && judgesLatents ? 1 : candidates
      guard let start = partedAt, isJudged else { continue }
      judged += candidates
      pairs += labels == .step ? step - start + 1 : comparedSteps.count
      partedAt = nil
    }
    return (rows, judged, pairs)
  }
}
