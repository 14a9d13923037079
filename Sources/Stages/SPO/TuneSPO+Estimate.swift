import Diffusion
import NN
import PipelineCore
import PreferenceModels

extension TuneSPO: Estimating {
  var sources: [NamedSource] { [.model(settings.model)] }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, scale)
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    need.addTraining(of: model.unet.adapterWeightCount(rank: settings.rank))
    let judge = scale.preference.map { $0.memory() }
    need.add("weights of the preference model", bytes: judge?.weights ?? 0)
    need.add(
      "passes", passing: max(try sampling(model), try training(model), judge?.passing ?? 0))
    return need
  }

  /// Candidates of some prompts, each with and without guidance; or the decoding of them.
  private func sampling(_ model: ModelParts) throws -> Int {
    let candidates = max(1, settings.promptsAtOnce) * settings.candidates
    return max(
      try model.unetMemory(rank: settings.rank).most * 2 * candidates,
      model.decodingMemory(pictures: candidates) + 2 * candidates * model.pictureCount)
  }

  private func training(_ model: ModelParts) throws -> Int {
    let memory = try model.unetMemory(rank: settings.rank)
    return rowsOfPair * max(1, min(settings.microBatch, settings.pairBatch))
      * memory.training(isCheckpointed: settings.gradientCheckpointing)
  }

  /// Each latent with and without guidance; after inner steps winner and loser have their own.
  private var rowsOfPair: Int { settings.innerSteps > 0 ? 4 : 2 }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = try ModelParts(settings.model, scale)
    // Values and two moments, the newest two and one being written; and the LoRA.
    let lora = 4 * model.unet.adapterWeightCount(rank: settings.rank)
    // PNG takes about two bytes a pixel.
    return lora * (3 * 3 + 1)
      + (2 + settings.epochs) * settings.pictures * model.pictureCount * 2 / 3
  }

  func seconds(_ scale: PipelineScale, _ speed: MachineSpeed) throws -> Double {
    let model = try ModelParts(settings.model, scale)
    let row = speed.seconds(try model.unetWork(rows: 1))
    let decoding = speed.seconds(model.decodingWork(pictures: 1))
    let judging = scale.preference?.seconds(speed) ?? 0
    let run = settings.samplingRun

    // As if every comparison gave a pair.
    let trained = try model.unetWork(rows: rowsOfPair)
    let training =
      speed.seconds(trained) * (settings.gradientCheckpointing ? 2 : 1)
      + speed.trainingSeconds(trained, trainsWeights: false)
    let prompt =
      Double(run.rows) * 2 * row + Double(run.judged) * (decoding + judging)
      + Double(run.pairs) * training
    let picture = Double(settings.samplingSteps) * 2 * row + decoding

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
  }
}

extension SPOSettings {
  /// What sampling of one prompt comes to: latents that go through the U-Net, candidates that are judged,
  /// and pairs at most.
  var samplingRun: (rows: Int, judged: Int, pairs: Int) {
    var rows = 1
    var judged = 0
    var pairs = 0
    var partedAt: Int?
    for step in 0..<samplingSteps {
      if partedAt == nil, step >= comparedSteps.upperBound { break }
      if partedAt == nil, comparedSteps.contains(step) { partedAt = step }
      let isLast = step == samplingSteps - 1
      let candidates = partedAt == nil ? 1 : candidates
      rows += isLast ? 0 : candidates
      guard let start = partedAt, isLast || step - start == innerSteps else { continue }
      judged += candidates
      pairs += step - start + 1
      partedAt = nil
    }
    return (rows, judged, pairs)
  }
}
