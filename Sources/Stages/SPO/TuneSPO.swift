import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PipelineCore
import PreferenceModels
import Shards
import StepwiseOptimization
import TensorCore

/// Tunes the U-Net by step-by-step preference optimization.
///
/// One item samples a batch of prompts, keeps the best and the worst candidate of each step, and trains
/// on those pairs. What is tuned are low-rank adapters of all attention projections.
///
/// - Reads: `shards`, `preference-model`
/// - Writes: `lora`, the file `spo/pytorch_lora_weights.safetensors` with diffusers' keys
/// - Source: Liang et al. 2024, arXiv 2406.04314, algorithm 1
final class TuneSPO: Stage {
  static let name = "spo"
  static let version = 1
  static let unit = "batches"
  let reads: Set<Artifact> = ["shards", "preference-model"]
  let writes: Set<Artifact> = ["lora"]

  private let settings: SPOSettings
  private let context: StageContext
  private var tuning: Tuning?
  private var chosenPrompts: [Int]?

  private struct Tuning {
    let reference: GuidedUNet
    let tuned: GuidedUNet
    let autoencoder: Autoencoder
    let preference: PreferenceModel
    let scheduler: DDIMScheduler
    let shards: ShardSet
    let negative: Conditioning
    let pictures: EpochPictures
    let adapters: AdapterSet
    var state: TrainingState
    let log: TrainingLog
  }

  init(settings: SPOSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var folder: String { context.workspace.path(Self.name) }
  private var loraPath: String { "\(folder)/pytorch_lora_weights.safetensors" }
  private var shardFolder: String { context.workspace.path("shards") }
  private var preferenceFolder: ModelFolder {
    ModelFolder(path: context.workspace.path("\(TrainPreference.name)/model"))
  }

  func inputs() throws -> [StageInput] {
    try ["unet", "vae", "scheduler"].flatMap {
      try context.digests.inputs(folder: "\(settings.model)/\($0)")
    }
  }

  func missingOutput() -> String? { Folders.exists(loraPath) ? nil : loraPath }
  func reset() throws { try Folders.remove(folder) }

  /// The prompts that pictures are drawn of, by their numbers in the shards.
  private func prompts() throws -> [Int] {
    if let chosenPrompts { return chosenPrompts }
    let shards = try ShardSet(folder: shardFolder, split: "train", verifiesDigests: false)
    let all = settings.onlyListed ? try shards.listedPrompts() : Array(0..<shards.promptCount)
    guard !all.isEmpty else {
      throw PipelineError.badSetting(
        path: "spo.only_listed",
        reason: "is set, but no prompt of the training split comes from a list of prompts")
    }
    let chosen = Array(all.prefix(settings.prompts))
    chosenPrompts = chosen
    return chosen
  }

  private func batchesPerEpoch() throws -> Int {
    (try prompts().count + settings.batch - 1) / settings.batch
  }

  private func stretches() throws -> TrainingStretches {
    let batches = try batchesPerEpoch() * settings.epochs
    return try TrainingStretches(
      context, stage: Self.name,
      stepCount: settings.iterations > 0 ? min(settings.iterations, batches) : batches,
      interval: settings.checkpointEvery)
  }

  func pendingItems() throws -> [Range<Int>] { try stretches().pending() }
  func finishedUnitCount() throws -> Int { try stretches().finishedSteps() }
  func unitCount(of item: Range<Int>) -> Int { item.count }

  func prepare() throws {
    try Folders.make(folder)
    let model = ModelFolder(path: settings.model)
    let adapters = AdapterSet.fresh(rank: settings.rank, seed: settings.seed) { path in
      [".to_q", ".to_k", ".to_v", ".to_out.0"].contains { path.hasSuffix($0) }
    }
    // Both models are built on the same arrays; the tuned one adds its adapters.
    let (reference, weights) = try model.unet()
    let tuned = try UNet(weights.adapted(by: adapters), reference.configuration)
    var state = TrainingState(
      adapters.parameters, optimizer: .init(weightDecay: settings.weightDecay),
      schedule: .init(peak: settings.learningRate), gradientLimit: settings.gradientLimit)
    let log = try stretches().resume(&state)
    let shards = try ShardSet(folder: shardFolder, split: "train")
    let scheduler = try DDIMScheduler(SchedulerConfig(folder: "\(model.path)/scheduler"))
    tuning = Tuning(
      reference: GuidedUNet(reference, guidance: settings.guidance),
      tuned: GuidedUNet(tuned, guidance: settings.guidance),
      autoencoder: try model.autoencoder().model,
      preference: try preferenceFolder.preferenceModel().model,
      scheduler: scheduler, shards: shards,
      negative: try shards.emptyConditioning(),
      pictures: EpochPictures(
        shards: try .heldOut(in: shardFolder), count: settings.pictures,
        scheduler: scheduler, settings: settings, folder: "\(folder)/pictures"),
      adapters: adapters, state: state, log: log)
  }

  func process(_ item: Range<Int>) throws -> Int {
    let stretches = try stretches()
    for iteration in item {
      try context.checkInterruption()
      if iteration == 0 { try drawPictures(afterBatch: 0) }
      try tune(iteration)
      let done = iteration + 1
      if try done % batchesPerEpoch() == 0 || done == stretches.stepCount {
        try drawPictures(afterBatch: done)
      }
    }
    return item.upperBound
  }

  private func drawPictures(afterBatch batch: Int) throws {
    guard let tuning, settings.pictures > 0 else { return }
    let row = try tuning.pictures.draw(
      tuning.tuned, tuning.autoencoder, negative: tuning.negative, afterBatch: batch)
    tuning.log.append(step: batch, "held-out prompts", row)
  }

  func commit(_ iteration: Int, of item: Range<Int>) throws {
    guard let tuning else { return }
    try stretches().commit(tuning.state, step: iteration, log: tuning.log)
  }

  // MARK: - One batch of prompts

  private func tune(_ iteration: Int) throws {
    guard var tuning else { return }
    let numbers = try self.prompts()
    let order = EpochOrder(count: numbers.count, seed: settings.seed)
    let prompts = order.items(step: iteration, batch: settings.batch).map { numbers[$0.item] }
    let layout = tuning.shards.layout
    let conditioning = try tuning.shards.conditioning(ofPrompts: prompts)
    let batch = PromptBatch(
      identifiers: prompts.map { UInt64($0) }, conditioning: conditioning)
    let ids = try prompts.map { try tuning.shards.prompt($0).inputIDs }
    let scorer = PreferenceScorer(
      model: tuning.preference, autoencoder: tuning.autoencoder,
      texts: withoutGradients { tuning.preference.textEmbedding(ids) })
    let sampler = CandidateSampler(
      unet: tuning.tuned, scheduler: tuning.scheduler,
      settings: .init(
        steps: settings.samplingSteps, eta: settings.eta, candidates: settings.candidates,
        comparedSteps: settings.comparedSteps, innerSteps: settings.innerSteps,
        threshold: settings.threshold, promptsAtOnce: settings.promptsAtOnce, seed: settings.seed),
      latentShape: [layout.latentHeight, layout.latentWidth, layout.latentChannels])
    let sampled = try sampler(
      batch, negative: tuning.negative, iteration: UInt64(iteration), scorer: scorer)
    let trained = try train(on: sampled.pairs, conditioning, iteration: iteration, &tuning)
    try tuning.log.append(step: iteration + 1, Self.figures(sampled, trained))
    context.progress.advance(
      note: "\(sampled.pairs.count) pairs, loss \(shortened(trained.loss)), "
        + "score \(shortened(sampled.meanFinalScore))")
    self.tuning = tuning
  }

  /// Means over the training batches of one sampling batch.
  private struct Trained {
    var loss: Float = 0
    var clippedShare: Float = 0
    var gradientNorm: Float = 0
  }

  private func train(
    on pairs: [CandidatePair], _ prompts: Conditioning, iteration: Int, _ tuning: inout Tuning
  ) throws -> Trained {
    var stream = RandomStream(
      seed: settings.seed, purpose: "spo.shuffle", item: UInt64(iteration))
    let shuffled = stream.permutation(count: pairs.count).map { pairs[$0] }
    let starts = Array(stride(from: 0, to: shuffled.count, by: settings.pairBatch))
    var result = Trained()
    for start in starts {
      let batch = Array(shuffled[start..<min(start + settings.pairBatch, shuffled.count)])
      let trained = try update(with: batch, prompts, &tuning)
      result.loss += trained.loss
      result.clippedShare += trained.clippedShare
      result.gradientNorm += trained.gradientNorm
    }
    let batches = Float(max(1, starts.count))
    return Trained(
      loss: result.loss / batches, clippedShare: result.clippedShare / batches,
      gradientNorm: result.gradientNorm / batches)
  }

  /// One update of the adapters, by a batch of pairs that is computed in parts.
  private func update(
    with pairs: [CandidatePair], _ prompts: Conditioning, _ tuning: inout Tuning
  ) throws -> Trained {
    var sum = GradientSum(tuning.state.parameters)
    var clippedShare: Float = 0
    for start in stride(from: 0, to: pairs.count, by: max(1, settings.microBatch)) {
      let part = pairs[start..<min(start + max(1, settings.microBatch), pairs.count)]
      let share = Float(part.count) / Float(pairs.count)
      let loss = try loss(of: PairBatch(Array(part)), prompts, tuning)
      sum.add(loss.loss, weight: share)
      clippedShare += share * loss.clippedShare(limit: settings.clip)
    }
    let norm = try tuning.state.update(sum.gradients, loss: sum.loss)
    return Trained(loss: sum.loss, clippedShare: clippedShare, gradientNorm: norm)
  }

  private func loss(
    of pairs: PairBatch, _ prompts: Conditioning, _ tuning: Tuning
  ) throws -> StepwiseLoss.Result {
    let conditioning = prompts.rows(at: pairs.prompts)
    func predict(_ unet: GuidedUNet) -> Tensor {
      unet(
        pairs.latents, timesteps: pairs.timesteps.map { Float($0) }, conditioning: conditioning,
        negative: tuning.negative)
    }
    return StepwiseLoss(beta: settings.beta, clip: settings.clip)(
      pairs,
      try tuning.scheduler.transition(
        from: pairs.timesteps, stepCount: settings.samplingSteps, eta: settings.eta),
      tuned: predict(tuning.tuned), reference: withoutGradients { predict(tuning.reference) })
  }

  private static func figures(_ sampled: SampledPairs, _ trained: Trained) -> JSON.Object {
    var figures = JSON.Object.figures([
      ("loss", trained.loss), ("gradient_norm", trained.gradientNorm),
      ("clipped_share", trained.clippedShare), ("final_score", sampled.meanFinalScore),
    ])
    figures["pairs"] = .integer(sampled.pairs.count)
    figures["steps"] = .array(
      sampled.comparisons.map { comparison in
        [
          "timestep": .integer(comparison.timestep), "compared": .integer(comparison.compared),
          "kept": .integer(comparison.kept), "mean_gap": .number(comparison.meanGap),
        ]
      })
    return figures
  }

  func finish() throws {
    guard let tuning else { return }
    try LoRAWeights(trained: tuning.adapters).write(to: loraPath, as: .diffusers, precision: .f32)
  }

  func results() -> [String] { ["the LoRA is \(loraPath)"] }
}

extension StepwiseLoss.Result {
  /// The share of likelihood ratios that reached a limit.
  fileprivate func clippedShare(limit: Float) -> Float {
    let ratios = winRatios + loseRatios
    let clipped = ratios.filter { abs($0 - 1) >= limit * 0.999 }
    return Float(clipped.count) / Float(max(1, ratios.count))
  }
}
