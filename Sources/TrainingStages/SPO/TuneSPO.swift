import Autograd
import Diffusion
package import Files
import Foundation
import NN
package import PipelineCore
import PreferenceModels
import Ranks
import Shards
import StageSupport
import StepwiseOptimization
import Telemetry

/// Tunes the U-Net by step-by-step preference optimization.
///
/// One item samples a batch of prompts, keeps the best and the worst candidate of each step, and trains
/// on those pairs. What is tuned are low-rank adapters of all attention projections.
///
/// - Reads: `shards`, and `preference-model` unless a setting names another
/// - Writes: `lora`, the file `spo/pytorch_lora_weights.safetensors` with diffusers' keys;
///   `optimization`, what was measured on the way
/// - Source: Liang et al. 2024, arXiv 2406.04314, algorithm 1
package final class TuneSPO: RankedStage {
  package static let name = "spo"
  package static let version = 2
  package static let unit = "batches"
  package static let usesDevice = true
  package static let settingsWithoutEffect: Set<String> = [
    "model", "tokenizer", "vae", "preference", "start", "held_out_scorers",
  ]
  package static let spare = ["spo/checkpoints"]
  package static let repairsFiles = true
  package static let secondary = TuningStage.spo.measurements
  package let reads: Set<Artifact>
  package let writes: [Artifact: [String]] = TuningStage.spo.writes
  package static let fileNames = TuningStage.spo.fileNames

  package let settings: SPOSettings
  private let context: StageContext
  private var tuning: Tuning?
  private var chosenPrompts: [Int]?

  private struct Tuning {
    var tuner: StepwiseTuner
    let shards: ShardSet
    let images: HeldOutImages
    /// Nil where held-out images are not judged.
    let heldOut: HeldOutScores?
    let log: TrainingLog
    var order: EpochOrder
  }

  package init(settings: SPOSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    reads = settings.preference == nil ? ["shards", "preference-model"] : ["shards"]
  }

  private var folder: String { context.output(Self.name) }
  private var loraPath: String { context.output(TuningStage.spo.loraFile) }
  private var shardFolder: String { context.workspace.path("shards") }

  package func inputs() throws -> [StageInput] {
    try settings.base.inputs(["unet", "vae", "scheduler"], context.digests)
      + (settings.preference.map { ModelFolder(path: $0) }?
        .preferenceInputs(context.digests, as: "preference") ?? [])
      + (settings.start.map { [try context.digests.input(file: $0, as: "start")] } ?? [])
      + NamedScorers(settings.heldOutScorers).inputs(context.digests)
  }

  /// The prompts that images are generated for, by their numbers in the shards.
  private func prompts() throws -> [Int] {
    if let chosenPrompts { return chosenPrompts }
    let shards = try ShardSet(folder: shardFolder, split: "train", verifiesDigests: false)
    let all = settings.onlyListed ? try shards.listedPrompts() : Array(0..<shards.promptCount)
    guard !all.isEmpty else {
      throw PipelineError.badSetting(
        path: "spo.only_listed",
        reason: "is set, but no prompt of the training split comes from a prompt list")
    }
    let chosen = Array(all.prefix(settings.prompts))
    chosenPrompts = chosen
    return chosen
  }

  private func schedule() throws -> SPOSettings.Schedule {
    settings.schedule(promptCount: try prompts().count)
  }

  private func intervals() throws -> CheckpointIntervals { try intervals(schedule()) }

  func intervals(_ schedule: SPOSettings.Schedule) throws -> CheckpointIntervals {
    try CheckpointIntervals(
      context, stage: Self.name, stepCount: schedule.batches, interval: settings.checkpointEvery)
  }

  package func earlierSettings() -> [String: JSON] {
    let judge = ModelFolder(
      path: settings.preference ?? context.workspace.path("\(TrainPreference.name)/model"))
    // A preference model of images is conditioned on no such timestep.
    let told = judge.isLatentPreferenceModel ? .drawn : settings.judgedTimestep
    return [
      "gradient_accumulation": 1, "judged_timestep": .string(told.rawValue), "labels": "step",
      "continue_from": "random", "held_out_every": .null, "held_out_prompts": 8,
      "inverted": false, "loss": "spo", "target_step": 0.5, "average_decay": .null,
      "window": .null, "held_out_scorers": .object(JSON.Object()), "held_out_oracle": "none",
    ]
  }

  package func remakesFilesAtOnce() throws -> Bool { try intervals().pending().isEmpty }
  package func pendingItems() throws -> [Range<Int>] { try intervals().pending() }
  package func finishedUnitCount() throws -> Int { try intervals().finishedSteps() }
  package func unitCount(of item: Range<Int>) -> Int { item.count }

  package func prepare() throws {
    let shards = try ShardSet(folder: shardFolder, split: "train")
    let layout = shards.layout
    var tuner = try StepwiseTuner(
      settings,
      judge: try settings.judge(in: context.workspace),
      negative: try shards.emptyConditioning(),
      latentShape: [layout.latentHeight, layout.latentWidth, layout.latentChannels],
      ranks: context.ranks, checkInterruption: context.checkInterruption)
    let log = try intervals().resume(&tuner.state)
    tuner.followAverage()
    let images = HeldOutImages(
      shards: try ShardSet.heldOut(in: shardFolder), count: settings.pictures,
      scheduler: tuner.scheduler, steps: settings.samplingSteps, seed: settings.seed,
      unit: "batch", folder: "\(folder)/pictures")
    let heldOut = HeldOutScores(settings, images)
    if context.ranks.isFirst { try heldOut?.requireReadable() }
    tuning = Tuning(
      tuner: tuner, shards: shards, images: images,
      heldOut: heldOut, log: log,
      order: EpochOrder(count: try prompts().count, seed: settings.seed))
    context.noteIdleRanks(
      "sample", batch: settings.batch, "spo.batch", settings.promptsAtOnce, "spo.prompts_at_once")
  }

  package func follow() throws {
    try prepare()
    guard let state = tuning?.tuner.state else { return }
    try context.follow(digest: state.weightsDigest) { iteration in
      try named(iteration) { try tune(iteration) }
    }
  }

  package func process(_ item: Range<Int>) throws -> Int {
    let schedule = try self.schedule()
    for iteration in item {
      let done = iteration + 1
      try context.lead(
        iteration, save: { try commit(done, of: item) },
        body: {
          try named(iteration) {
            if iteration == 0 { try generateImages(afterBatch: 0) }
            try tune(iteration)
            if schedule.drawsImages(after: done) { try generateImages(afterBatch: done) }
          }
        })
    }
    return item.upperBound
  }

  /// Has numbers that are not finite name the batch.
  private func named(_ iteration: Int, _ body: () throws -> Void) throws {
    try naming(
      ["stage spo, batch \(iteration + 1)"],
      remedy: iteration == 0
        ? nil
        : "the last checkpoint is kept: lower spo.learning_rate and run again with --force spo",
      body)
  }

  private func generateImages(afterBatch batch: Int) throws {
    guard let tuning, settings.pictures > 0 else { return }
    let row = try tuning.images.draw(
      tuning.tuner.tuned, tuning.tuner.autoencoder, negative: tuning.tuner.negative,
      after: batch)
    try tuning.log.append(step: batch, "held-out prompts", row)
  }

  package func commit(_ iteration: Int, of item: Range<Int>) throws {
    guard let tuning else { return }
    try intervals().commit(tuning.tuner.state, step: iteration, log: tuning.log)
  }

  private func tune(_ iteration: Int) throws {
    guard var tuning else { return }
    let numbers = try self.prompts()
    // Rank 0 alone: it takes little, and the others have nothing else to do.
    let heldOut = context.ranks.isFirst ? tuning.heldOut : nil
    let before =
      iteration == 0
      ? try heldOut?.measure(tuning.tuner, checkInterruption: context.checkInterruption) : nil
    let prompts = tuning.order.items(step: iteration, batch: settings.batch).map {
      numbers[$0.item]
    }
    let (sampled, trained) = try tuning.tuner.iterate(
      PromptBatch(
        identifiers: prompts.map { UInt64($0) },
        conditioning: try tuning.shards.conditioning(ofPrompts: prompts)),
      judged: try prompts.map {
        let prompt = try tuning.shards.prompt($0)
        return JudgedPrompt(text: prompt.text, ids: prompt.inputIDs)
      }, iteration: iteration)
    var figures = figures(sampled, trained)
    before?.add(to: &figures, beforeTraining: true)
    var measured: HeldOutScores.Measurement?
    if let heldOut, heldOut.areDue(after: iteration + 1, of: try schedule().batches) {
      measured = try heldOut.measure(
        tuning.tuner, checkInterruption: context.checkInterruption)
      measured?.add(to: &figures)
    }
    try tuning.log.append(step: iteration + 1, figures)
    if sampled.pairs.isEmpty {
      context.progress.say(
        "warning: batch \(iteration + 1): \(try TuningFindings([figures]).noPair)")
    }
    context.progress.advance(
      note: "\(sampled.pairs.count) pairs, loss \(shortened(trained.loss))"
        + (settings.window == nil ? ", score \(shortened(sampled.meanFinalScore))" : "")
        + (measured.map { ", held-out score \(shortened(Float($0.score)))" } ?? ""))
    self.tuning = tuning
  }

  private func figures(_ sampled: SampledPairs, _ trained: StepwiseTuner.Trained)
    -> JSON.Object
  {
    var figures = JSON.Object.figures([
      ("loss", trained.loss), ("gradient_norm", trained.gradientNorm),
      ("clipped_share", trained.clippedShare),
    ])
    // Scores at the end of a window, which is elsewhere in every batch, do not compare.
    if settings.window == nil { figures["final_score"] = .number(Double(sampled.meanFinalScore)) }
    if let mean = trained.divergences.mean {
      figures["kl"] = .number(mean)
      figures["kl_by_timestep"] = .object(
        trained.divergences.byTimestep.reduce(into: JSON.Object()) {
          $0["\($1.timestep)"] = .number($1.mean)
        })
    }
    figures["updates"] = .integer(trained.updates)
    figures["pairs"] = .integer(sampled.pairs.count)
    figures["steps"] = .array(
      sampled.comparisons.map { comparison in
        [
          "timestep": .integer(comparison.timestep), "compared": .integer(comparison.compared),
          "kept": .integer(comparison.kept), "threshold": .number(comparison.threshold),
          "mean_gap": .number(comparison.meanGap),
        ]
      })
    return figures
  }

  package func finish() throws {
    guard let tuning else { return }
    // The log ends where the newest checkpoint does, so it counts what other runs have sampled, too.
    let findings = try TuningFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), inverted: settings.inverted)
    try findings.requirePairs()
    try requireChange(tuning.tuner.adapters, findings)
    let lora = LoRAWeights(trained: tuning.tuner.adapters)
    let warnings = try TrainingWarnings.ofChange(lora, of: settings.base, stage: Self.name)
    try TrainingWarnings.write(findings.warnings() + warnings, to: folder)
    try lora.write(to: loraPath, as: .diffusers, precision: .f32)
  }

  package func spareFindings() throws -> [String] {
    try CheckpointFolders(in: "\(folder)/checkpoints").findings()
  }

  /// Refuses to start from the file that the stage itself replaces: it would never be up to date.
  func requireOtherStart() throws {
    try StartingLoRA.require(
      settings.start, isNot: context.workspace.path(TuningStage.spo.loraFile), stage: Self.name)
  }

  /// Refuses a LoRA that changes nothing, or that turns everything into nothing.
  private func requireChange(_ adapters: AdapterSet, _ findings: TuningFindings) throws {
    try adapters.requireFinite(stage: Self.name)
    let isUnchanged =
      try settings.start.map {
        try StartingLoRA(path: $0, of: settings.base, stage: Self.name).equals(adapters)
      } ?? adapters.changesNothing
    guard isUnchanged else { return }
    guard findings.updates > 0 else {
      throw NothingLearned(
        reason: "stage spo trained on \(findings.pairs) pairs, too few for one update: lower "
          + "spo.gradient_accumulation (\(settings.gradientAccumulation)) or spo.pair_batch "
          + "(\(settings.pairBatch))")
    }
    if let start = settings.start {
      throw NothingLearned(
        reason:
          "stage spo trained on \(findings.pairs) pairs, but the LoRA still equals \(start), its "
          + "start; raise spo.learning_rate or spo.clip")
    }
    throw NothingLearned(
      reason:
        "stage spo trained on \(findings.pairs) pairs, but all up matrices of the LoRA are 0; "
        + "raise spo.learning_rate or spo.clip")
  }

  package func results() throws -> [String] {
    try TrainingWarnings.read(from: folder).map { "warning: \($0)" } + [
      "the LoRA is in \(loraPath)"
    ]
  }
}

extension SPOSettings {
  /// The preference model that is given, or else the one that was trained.
  package func judge(in workspace: Workspace) throws -> PreferenceJudge {
    let path = preference ?? workspace.path("\(TrainPreference.name)/model")
    return try PreferenceJudge(
      ModelFolder(path: path).narrowed(to: preferencePrecision.narrowing), of: base,
      told: judgedTimestep)
  }
}
