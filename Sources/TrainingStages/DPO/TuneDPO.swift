import Diffusion
import Files
import NN
import PipelineCore
import Ranks
import Shards
import StageSupport
import Telemetry

/// Tunes the U-Net by direct preference optimization on the comparisons themselves, or by supervised tuning on
/// their preferred images; no preference model is needed.
///
/// One item is an interval of steps. As in stage `spo`, low-rank adapters of all attention
/// projections are trained.
///
/// - Reads: `shards`
/// - Writes: `dpo-lora`, the file `dpo/pytorch_lora_weights.safetensors` with diffusers' keys;
///   `dpo-optimization`, the training measurements
/// - Source: Wallace et al. 2023, arXiv 2311.12908
package struct TuneDPO: RankedStage {
  static let name = "dpo"
  static let version = 1
  static let unit = "steps"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = ["model", "tokenizer", "vae", "start"]
  static let spare = ["dpo/checkpoints"]
  static let repairsFiles = true
  static let secondary = TuningStage.dpo.measurements
  let reads: Set<Artifact> = ["shards"]
  let writes: [Artifact: [String]] = TuningStage.dpo.writes
  static let fileNames = TuningStage.dpo.fileNames

  package let settings: DPOSettings
  private let context: StageContext
  let intervals: CheckpointIntervals

  init(settings: DPOSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  private var folder: String { context.output(Self.name) }
  private var loraPath: String { context.output(TuningStage.dpo.loraFile) }

  func inputs() throws -> [StageInput] {
    try settings.base.inputs(["unet", "vae", "scheduler"], context.digests)
      + (settings.start.map { [try context.digests.input(file: $0, as: "start")] } ?? [])
  }

  func earlierSettings() -> [String: JSON] {
    ["loss": "dpo", "safeguard": .null, "inverted": false]
  }

  func remakesFilesAtOnce() throws -> Bool { try intervals.pending().isEmpty }
  func workPlan() throws -> WorkPlan<DirectTraining> {
    try intervals.plan(begin: makeTraining)
  }

  func follow() throws { try makeTraining().follow() }

  private func makeTraining() throws -> DirectTraining {
    let shardFolder = context.workspace.path("shards")
    let shards = try ShardSet(folder: shardFolder, split: "train")
    let tuner = try DirectPreferenceTuner(
      settings, shards, decided: try DirectPreferenceTuner.decided(in: shards),
      ranks: context.ranks, checkInterruption: context.checkInterruption)
    let training = try DirectTraining(
      settings, context, intervals, tuner,
      images(of: try ShardSet.heldOut(in: shardFolder), tuner),
      decoder: context.ranks.isFirst ? try decoder(shards) : nil)
    context.noteIdleRanks(
      "train", batch: settings.batch, "dpo.batch", settings.microBatch, "dpo.micro_batch")
    return training
  }

  /// Nil where no images are drawn.
  func decoder(
    _ shards: any ComparisonData
  ) throws -> (autoencoder: Autoencoder, negative: Conditioning)? {
    settings.pictures > 0
      ? (try settings.base.autoencoder().model, try shards.emptyConditioning()) : nil
  }

  func images(
    of shards: any ComparisonData, _ tuner: DirectPreferenceTuner
  ) -> HeldOutImages {
    HeldOutImages(
      shards: shards, count: settings.pictures, scheduler: tuner.scheduler,
      steps: settings.samplingSteps, seed: settings.seed, unit: "step",
      folder: "\(folder)/pictures")
  }

  /// Refuses to start from the file that the stage itself replaces: it would never be up to date.
  func requireOtherStart() throws {
    try StartingLoRA.require(
      settings.start, isNot: context.workspace.path(TuningStage.dpo.loraFile), stage: Self.name)
  }

  func spareFindings() throws -> [String] { try intervals.findings() }

  func results() throws -> [String] {
    try TrainingWarnings.read(from: folder).map { "warning: \($0)" } + [
      "the LoRA is in \(loraPath)"
    ]
  }
}
