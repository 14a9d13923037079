import Autograd
import Diffusion
import Files
import NN
package import PipelineCore
import PreferenceModels
import Ranks
import Shards
import StageSupport
import StepwiseOptimization
import Telemetry

/// The work of stage `spo`: sampling batches, with images and scores of held-out prompts.
package final class StepwiseTraining: StageWork {
  private let settings: SPOSettings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private var tuner: StepwiseTuner
  private let shards: ShardSet
  /// The prompts that images are generated for, by index in the shards, and their order.
  private let prompts: [Int]
  private var order: EpochOrder
  private let schedule: SPOSettings.Schedule
  private let images: HeldOutImages
  /// Nil if held-out images are not scored.
  private let heldOut: HeldOutScores?
  private let log: TrainingLog

  private var folder: String { context.output(TuneSPO.name) }

  /// Resumes from the newest checkpoint, if there is one.
  init(
    _ settings: SPOSettings, _ context: StageContext, _ intervals: CheckpointIntervals,
    _ tuner: StepwiseTuner, _ shards: ShardSet, prompts: [Int],
    _ images: HeldOutImages
  ) throws {
    (self.settings, self.context, self.intervals) = (settings, context, intervals)
    (self.shards, self.prompts) = (shards, prompts)
    schedule = settings.schedule(promptCount: prompts.count)
    self.images = images
    var tuner = tuner
    log = try intervals.resume(&tuner.state)
    tuner.followAverage()
    self.tuner = tuner
    heldOut = HeldOutScores(settings, images)
    if context.ranks.isFirst { try heldOut?.requireReadable() }
    order = EpochOrder(count: prompts.count, seed: settings.seed)
  }

  func follow() throws {
    try context.follow(digest: tuner.state.weightsDigest) { iteration in
      try named(iteration) { try tune(iteration) }
    }
  }

  package func process(_ item: Range<Int>) throws -> Int {
    for iteration in item {
      let done = iteration + 1
      try context.lead(
        iteration, save: { _ in try commit(done, of: item) },
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

  /// Adds the batch to errors about non-finite numbers.
  private func named(_ iteration: Int, _ body: () throws -> Void) throws {
    try naming(
      ["stage spo, batch \(iteration + 1)"],
      remedy: iteration == 0
        ? nil
        : "the last checkpoint is kept: lower spo.learning_rate and run again with --force spo",
      body)
  }

  private func generateImages(afterBatch batch: Int) throws {
    guard settings.pictures > 0 else { return }
    let row = try images.draw(
      tuner.tuned, tuner.autoencoder, negative: tuner.negative,
      after: batch)
    try log.append(step: batch, "held-out prompts", row)
  }

  package func commit(_ iteration: Int, of item: Range<Int>) throws {
    try intervals.commit(tuner.state, step: iteration, log: log)
  }

  private func tune(_ iteration: Int) throws {
    // Rank 0 alone: it takes little time, and the others have nothing else to do.
    let heldOut = context.ranks.isFirst ? heldOut : nil
    let before =
      iteration == 0
      ? try heldOut?.measure(tuner, checkInterruption: context.checkInterruption) : nil
    let prompts = order.items(step: iteration, batch: settings.batch).map {
      self.prompts[$0.item]
    }
    let (sampled, trained) = try tuner.iterate(
      PromptBatch(
        identifiers: prompts.map { UInt64($0) },
        conditioning: try shards.conditioning(ofPrompts: prompts)),
      scored: try prompts.map {
        let prompt = try shards.prompt($0)
        return ScoredPrompt(text: prompt.text, ids: prompt.inputIDs)
      }, iteration: iteration)
    var figures = figures(sampled, trained)
    before?.add(to: &figures, beforeTraining: true)
    var measured: HeldOutScores.Measurement?
    if let heldOut, heldOut.areDue(after: iteration + 1, of: schedule.batches) {
      measured = try heldOut.measure(
        tuner, checkInterruption: context.checkInterruption)
      measured?.add(to: &figures)
    }
    try log.append(step: iteration + 1, figures)
    if sampled.pairs.isEmpty {
      context.progress.say(
        "warning: batch \(iteration + 1): \(try TuningFindings([figures]).noPair)")
    }
    context.progress.advance(
      note: "\(sampled.pairs.count) pairs, loss \(shortened(trained.loss))"
        + (settings.window == nil ? ", score \(shortened(sampled.meanFinalScore))" : "")
        + (measured.map { ", held-out score \(shortened(Float($0.score)))" } ?? ""))
  }

  private func figures(_ sampled: SampledPairs, _ trained: StepwiseTuner.Trained)
    -> JSON.Object
  {
    var figures = JSON.Object.figures([
      ("loss", trained.loss), ("gradient_norm", trained.gradientNorm),
      ("clipped_share", trained.clippedShare),
    ])
    // Scores at the end of a window, which varies between batches, are not comparable.
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

  package func finish() throws -> WorkSummary {
    // The log ends at the newest checkpoint, so it includes the samples of earlier runs.
    let findings = try TuningFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), inverted: settings.inverted)
    try findings.requirePairs()
    try requireChange(tuner.adapters, findings)
    let lora = LoRAWeights(trained: tuner.adapters)
    let warnings = try TrainingWarnings.ofChange(lora, of: settings.base, stage: TuneSPO.name)
    try TrainingWarnings.write(findings.warnings() + warnings, to: folder)
    try lora.write(
      to: context.output(TuningStage.spo.loraFile), as: .diffusers, precision: .f32)
    return WorkSummary()
  }

  /// Rejects a LoRA that has no effect, or whose numbers are not finite.
  private func requireChange(_ adapters: AdapterSet, _ findings: TuningFindings) throws {
    try adapters.requireFinite(stage: TuneSPO.name)
    let isUnchanged =
      try settings.start.map {
        try StartingLoRA(path: $0, of: settings.base, stage: TuneSPO.name).equals(adapters)
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
}
