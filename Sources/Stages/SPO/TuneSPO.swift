import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
public import PipelineCore
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
public final class TuneSPO: Stage {
  public static let name = "spo"
  public static let version = 1
  public static let unit = "batches"
  public let reads: Set<Artifact> = ["shards", "preference-model"]
  public let writes: Set<Artifact> = ["lora"]

  private let settings: SPOSettings
  private let context: StageContext
  private var tuning: Tuning?

  private struct Tuning {
    let reference: GuidedUNet
    let tuned: GuidedUNet
    let autoencoder: Autoencoder
    let preference: PreferenceModel
    let scheduler: DDIMScheduler
    let shards: ShardSet
    let negative: Conditioning
    var state: TrainingState
    let log: TrainingLog
  }

  public init(settings: SPOSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var folder: String { context.workspace.path(Self.name) }
  private var loraPath: String { "\(folder)/pytorch_lora_weights.safetensors" }
  private var shardFolder: String { context.workspace.path("shards") }
  private var preferenceFolder: ModelFolder {
    ModelFolder(path: context.workspace.path("\(TrainPreference.name)/model"))
  }

  public func inputs() throws -> [StageInput] {
    try ["unet", "vae", "scheduler"].flatMap {
      try context.digests.inputs(folder: "\(settings.model)/\($0)")
    }
  }

  public func missingOutput() -> String? { Folders.exists(loraPath) ? nil : loraPath }
  public func reset() throws { try Folders.remove(folder) }

  private func stretches() throws -> TrainingStretches {
    let prompts = min(
      settings.prompts, try ShardSet(folder: shardFolder, split: "train").promptCount)
    let batches = (prompts + settings.batch - 1) / settings.batch * settings.epochs
    return try TrainingStretches(
      context, stage: Self.name,
      stepCount: settings.iterations > 0 ? min(settings.iterations, batches) : batches,
      interval: settings.checkpointEvery)
  }

  public func pendingItems() throws -> [Range<Int>] { try stretches().pending() }
  public func finishedUnitCount() throws -> Int { try stretches().finishedSteps() }
  public func unitCount(of item: Range<Int>) -> Int { item.count }

  public func prepare() throws {
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
    tuning = Tuning(
      reference: GuidedUNet(reference, guidance: settings.guidance),
      tuned: GuidedUNet(tuned, guidance: settings.guidance),
      autoencoder: try model.autoencoder().model,
      preference: try preferenceFolder.preferenceModel().model,
      scheduler: try DDIMScheduler(SchedulerConfig(folder: "\(model.path)/scheduler")),
      shards: shards,
      negative: try shards.emptyConditioning(),
      state: state, log: log)
  }

  public func process(_ item: Range<Int>) throws -> Int {
    for iteration in item {
      try context.checkInterruption()
      try tune(iteration)
    }
    return item.upperBound
  }

  public func commit(_ iteration: Int, of item: Range<Int>) throws {
    guard let tuning else { return }
    try stretches().commit(tuning.state, step: iteration, log: tuning.log)
  }

  // MARK: - One batch of prompts

  private func tune(_ iteration: Int) throws {
    guard var tuning else { return }
    let order = EpochOrder(
      count: min(settings.prompts, tuning.shards.promptCount), seed: settings.seed)
    let prompts = order.items(step: iteration, batch: settings.batch).map(\.item)
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
        divertStep: settings.divertStep, threshold: settings.threshold, seed: settings.seed),
      latentShape: [layout.latentHeight, layout.latentWidth, layout.latentChannels])
    let sampled = try sampler(
      batch, negative: tuning.negative, iteration: UInt64(iteration), scorer: scorer)
    let trained = try train(on: sampled.pairs, conditioning, iteration: iteration, &tuning)
    try tuning.log.append(step: iteration + 1, Self.figures(sampled, trained))
    context.progress.advance(
      note: "\(sampled.pairs.count) pairs, loss \(shortened(trained.loss)), "
        + "score \(shortened(Float(sampled.finalScore)))")
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
    var result = Trained()
    var batches: Float = 0
    for start in stride(from: 0, to: shuffled.count, by: settings.pairBatch) {
      let batch = Array(shuffled[start..<min(start + settings.pairBatch, shuffled.count)])
      let latents = concatenated(batch.map(\.latent), axis: 0)
      let conditioning = prompts.rows(at: batch.map(\.prompt))
      let timesteps = batch.map { Float($0.timestep) }
      let reference = withoutGradients {
        tuning.reference(
          latents, timesteps: timesteps, conditioning: conditioning,
          negative: tuning.negative)
      }
      // The winner and the loser come from one x_t, so one call serves both.
      let loss = StepwiseLoss(beta: settings.beta, clip: settings.clip)(
        try tuning.scheduler.transition(
          from: batch.map(\.timestep), stepCount: settings.samplingSteps, eta: settings.eta),
        latents: latents, win: concatenated(batch.map(\.win), axis: 0),
        lose: concatenated(batch.map(\.lose), axis: 0),
        tuned: tuning.tuned(
          latents, timesteps: timesteps, conditioning: conditioning,
          negative: tuning.negative),
        reference: reference)
      result.gradientNorm += try tuning.state.update(minimizing: loss.loss)
      result.loss += loss.loss.scalar
      result.clippedShare += loss.clippedShare(limit: settings.clip)
      batches += 1
    }
    guard batches > 0 else { return result }
    return Trained(
      loss: result.loss / batches, clippedShare: result.clippedShare / batches,
      gradientNorm: result.gradientNorm / batches)
  }

  private static func figures(_ sampled: SampledPairs, _ trained: Trained) -> JSON.Object {
    var figures = JSON.Object.figures([
      ("loss", trained.loss), ("gradient_norm", trained.gradientNorm),
      ("clipped_share", trained.clippedShare), ("final_score", Float(sampled.finalScore)),
    ])
    figures["pairs"] = .integer(sampled.pairs.count)
    figures["steps"] = .array(
      sampled.steps.map { step in
        [
          "timestep": .integer(step.timestep), "compared": .integer(step.compared),
          "kept": .integer(step.kept), "mean_gap": .number(step.meanGap),
        ]
      })
    return figures
  }

  public func finish() throws {
    guard let tuning else { return }
    try writeSafetensors(
      tuning.state.parameters.map { parameter in
        // Adapters are called PATH.down and PATH.up; diffusers spells them so.
        let parts = parameter.name.split(separator: ".")
        let path = parts.dropLast().joined(separator: ".")
        return OutgoingTensor(
          "unet.\(path).lora.\(parts[parts.count - 1]).weight", storing: parameter)
      }, metadata: ["format": "pt"], to: loraPath)
  }

  public func results() -> [String] { ["the LoRA is \(loraPath)"] }
}

extension StepwiseLoss.Result {
  /// The share of likelihood ratios that reached a limit.
  fileprivate func clippedShare(limit: Float) -> Float {
    let ratios = winRatios + loseRatios
    let clipped = ratios.filter { abs($0 - 1) >= limit * 0.999 }
    return Float(clipped.count) / Float(max(1, ratios.count))
  }
}
