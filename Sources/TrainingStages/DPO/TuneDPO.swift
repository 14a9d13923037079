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
/// One item is a stretch of steps. What is tuned are low-rank adapters of all attention projections, as in
/// stage `spo`.
///
/// - Reads: `shards`
/// - Writes: `dpo-lora`, the file `dpo/pytorch_lora_weights.safetensors` with diffusers' keys;
///   `dpo-optimization`, what was measured on the way
/// - Source: Wallace et al. 2023, arXiv 2311.12908
package final class TuneDPO: RankedStage {
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
  private var tuning: Tuning?

  private struct Tuning {
    var tuner: DirectPreferenceTuner
    let images: HeldOutImages
    /// Decodes these; nil where none are drawn.
    let decoder: (autoencoder: Autoencoder, negative: Conditioning)?
    let log: TrainingLog
  }

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
  func pendingItems() throws -> [Range<Int>] { try intervals.pending() }
  func finishedUnitCount() throws -> Int { try intervals.finishedSteps() }
  func unitCount(of item: Range<Int>) -> Int { item.count }

  func prepare() throws {
    let shardFolder = context.workspace.path("shards")
    let shards = try ShardSet(folder: shardFolder, split: "train")
    var tuner = try DirectPreferenceTuner(
      settings, shards, decided: try DirectPreferenceTuner.decided(in: shards),
      ranks: context.ranks, checkInterruption: context.checkInterruption)
    let log = try intervals.resume(&tuner.state)
    tuning = Tuning(
      tuner: tuner, images: images(of: try ShardSet.heldOut(in: shardFolder), tuner),
      decoder: context.ranks.isFirst ? try decoder(shards) : nil, log: log)
    context.noteIdleRanks(
      "train", batch: settings.batch, "dpo.batch", settings.microBatch, "dpo.micro_batch")
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

  func process(_ item: Range<Int>) throws -> Int {
    if item.lowerBound == 0 { try generateImages(after: 0) }
    for step in item {
      try context.lead(step, save: { try commit(step + 1, of: item) }, body: { try train(step) })
    }
    try generateImages(after: item.upperBound)
    return item.upperBound
  }

  func follow() throws {
    try prepare()
    guard let state = tuning?.tuner.state else { return }
    try context.follow(digest: state.weightsDigest, train)
  }

  private func train(_ step: Int) throws {
    guard var tuning else { return }
    let trained = try naming(
      ["stage dpo, step \(step + 1)"],
      remedy: step == 0
        ? nil
        : "the last checkpoint is kept: lower dpo.learning_rate and run again with --force dpo"
    ) { try tuning.tuner.train(step: step) }
    try tuning.log.append(
      step: step + 1,
      .figures(
        [("loss", trained.loss)] + trained.figures.map { ($0.name, $0.mean) }
          + [("gradient_norm", trained.gradientNorm)]))
    let accuracy = trained.figures.first { $0.name == "implicit_accuracy" }
    context.progress.advance(
      note: "loss \(shortened(trained.loss))"
        + (accuracy.map { ", accuracy \(shortened($0.mean))" } ?? ""))
    self.tuning = tuning
  }

  private func generateImages(after step: Int) throws {
    guard let tuning, let decoder = tuning.decoder else { return }
    let row = try tuning.images.draw(
      GuidedUNet(tuning.tuner.tuned, guidance: settings.guidance), decoder.autoencoder,
      negative: decoder.negative, after: step)
    try tuning.log.append(step: step, "held-out prompts", row)
  }

  func commit(_ step: Int, of item: Range<Int>) throws {
    guard let tuning else { return }
    try intervals.commit(tuning.tuner.state, step: step, log: tuning.log)
  }

  func finish() throws {
    guard let tuning else { return }
    let adapters = tuning.tuner.adapters
    try adapters.requireFinite(stage: Self.name)
    if let start = settings.start {
      guard try !StartingLoRA(path: start, of: settings.base, stage: Self.name).equals(adapters)
      else {
        throw NothingLearned(
          reason:
            "after \(settings.steps) steps of stage dpo the LoRA still equals \(start), its "
            + "start; \(remedy)")
      }
    } else if adapters.changesNothing {
      throw NothingLearned(
        reason:
          "all up matrices of the LoRA of stage dpo are 0 after \(settings.steps) steps; \(remedy)")
    }
    // The log ends where the newest checkpoint does, so it counts the steps of other runs, too.
    let findings = try DirectFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), of: settings)
    let lora = LoRAWeights(trained: adapters)
    let warnings = try TrainingWarnings.ofChange(lora, of: settings.base, stage: Self.name)
    try TrainingWarnings.write(findings.warnings() + warnings, to: folder)
    try lora.write(to: loraPath, as: .diffusers, precision: .f32)
  }

  /// Where nothing was learned.
  private var remedy: String {
    "raise dpo.learning_rate" + (settings.loss == .dpo ? " or dpo.beta" : "")
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
