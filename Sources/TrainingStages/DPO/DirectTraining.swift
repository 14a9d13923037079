import Diffusion
import Files
import NN
import PipelineCore
import Ranks
import StageSupport
import Telemetry

/// The work of stage `dpo`: training steps, with images of held-out prompts at checkpoints.
final class DirectTraining: StageWork {
  private let settings: DPOSettings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private var tuner: DirectPreferenceTuner
  private let images: HeldOutImages
  /// The decoder of these images; nil if none are generated.
  private let decoder: (autoencoder: Autoencoder, negative: Conditioning)?
  private let log: TrainingLog

  private var folder: String { context.output(TuneDPO.name) }

  /// Resumes from the newest checkpoint, if there is one.
  init(
    _ settings: DPOSettings, _ context: StageContext, _ intervals: CheckpointIntervals,
    _ tuner: DirectPreferenceTuner, _ images: HeldOutImages,
    decoder: (autoencoder: Autoencoder, negative: Conditioning)?
  ) throws {
    (self.settings, self.context, self.intervals) = (settings, context, intervals)
    (self.images, self.decoder) = (images, decoder)
    var tuner = tuner
    log = try intervals.resume(&tuner.state)
    self.tuner = tuner
  }

  func process(_ item: Range<Int>) throws -> Int {
    if item.lowerBound == 0 { try generateImages(after: 0) }
    for step in item {
      try context.lead(
        step, save: { _ in try commit(step + 1, of: item) },
        body: {
          try train(step)
          // Before ranks are stopped and the checkpoint counts: the next run continues after it.
          if step + 1 == item.upperBound { try generateImages(after: step + 1) }
        })
    }
    return item.upperBound
  }

  func follow() throws {
    try context.follow(digest: tuner.state.weightsDigest, train)
  }

  private func train(_ step: Int) throws {
    let trained = try naming(
      ["stage dpo, step \(step + 1)"],
      remedy: step == 0
        ? nil
        : "the last checkpoint is kept: lower dpo.learning_rate and run again with --force dpo"
    ) { try tuner.train(step: step) }
    try log.append(
      step: step + 1,
      .figures(
        [("loss", trained.loss)] + trained.figures.map { ($0.name, $0.mean) }
          + [("gradient_norm", trained.gradientNorm)]))
    let accuracy = trained.figures.first { $0.name == "implicit_accuracy" }
    context.progress.advance(
      note: "loss \(shortened(trained.loss))"
        + (accuracy.map { ", accuracy \(shortened($0.mean))" } ?? ""))
  }

  private func generateImages(after step: Int) throws {
    guard let decoder else { return }
    let row = try images.draw(
      GuidedUNet(tuner.tuned, guidance: settings.guidance), decoder.autoencoder,
      negative: decoder.negative, after: step)
    try log.append(step: step, "held-out prompts", row)
  }

  func commit(_ step: Int, of item: Range<Int>) throws {
    try intervals.commit(tuner.state, step: step, log: log)
  }

  func finish() throws -> WorkSummary {
    let adapters = tuner.adapters
    try adapters.requireFinite(stage: TuneDPO.name)
    if let start = settings.start {
      guard try !StartingLoRA(path: start, of: settings.base, stage: TuneDPO.name).equals(adapters)
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
    // The log ends at the newest checkpoint, so it includes the steps of earlier runs.
    let findings = try DirectFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), of: settings)
    let lora = LoRAWeights(trained: adapters)
    let warnings = try TrainingWarnings.ofChange(lora, of: settings.base, stage: TuneDPO.name)
    try TrainingWarnings.write(findings.warnings() + warnings, to: folder)
    try lora.write(
      to: context.output(TuningStage.dpo.loraFile), as: .diffusers, precision: .f32)
    return WorkSummary()
  }

  /// Advice if nothing was learned.
  private var remedy: String {
    "raise dpo.learning_rate" + (settings.loss == .dpo ? " or dpo.beta" : "")
  }
}
