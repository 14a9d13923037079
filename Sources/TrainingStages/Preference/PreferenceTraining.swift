import Autograd
import Files
import NN
import PipelineCore
import Ranks
import StageSupport
import Telemetry

/// The data for training and validation.
struct PreferenceData {
  let training: PreferenceExamples
  let validation: PreferenceExamples
  /// The data for the final evaluation; may be the same.
  let evaluation: PreferenceExamples

  func examples(of block: ImageStore.Block) -> PreferenceExamples {
    let all = [training, validation, evaluation]
    guard let examples = all.first(where: { $0.shards.split == block.split }) else {
      preconditionFailure("images that no step looks at")
    }
    return examples
  }
}

/// The training of a preference model.
final class PreferenceTraining {
  private let settings: PreferenceSettings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private let data: PreferenceData
  private let model: any TrainablePreferenceModel
  private(set) var state: TrainingState
  private let log: TrainingLog
  private var order: EpochOrder
  private var best: BestWeights?

  private var folder: String { context.output(TrainPreference.name) }

  /// Resumes from the newest checkpoint, if there is one.
  init(
    _ settings: PreferenceSettings, _ context: StageContext, _ intervals: CheckpointIntervals,
    _ data: PreferenceData, _ model: any TrainablePreferenceModel, _ state: TrainingState
  ) throws {
    (self.settings, self.context, self.intervals) = (settings, context, intervals)
    (self.data, self.model) = (data, model)
    var state = state
    log = try intervals.resume(&state)
    self.state = state
    order = EpochOrder(count: data.training.count, seed: settings.seed)
    let keepsBest = settings.keep == .best && context.ranks.isFirst
    best = try keepsBest ? BestWeights(in: context.output(TrainPreference.name)) : nil
  }

  func writeCheckpoint(_ step: Int) throws {
    // The kept weights must not depend on where ranks were stopped.
    if intervals.isRegular(step) { try preference(step) }
    try intervals.commit(state, step: step, log: log)
  }

  /// Validates the weights on held-out comparisons, and keeps the best.
  private func preference(_ step: Int) throws {
    let shares = try settings.checkedViews.map {
      try accuracy(on: data.validation, $0).share
    }
    let mean = shares.reduce(0, +) / Double(max(1, shares.count))
    if settings.keep == .best, mean > best?.accuracy ?? -1 {
      best = try BestWeights(
        state.parameters, accuracy: mean, step: step, in: folder)
    }
    try log.append(step: step, .figures([("validation_accuracy", Float(mean))]))
  }

  private func accuracy(
    on examples: PreferenceExamples, _ view: PreferenceView
  ) throws -> (share: Double, count: Int) {
    try model.accuracy(
      examples, count: min(settings.validationPairs, examples.count), view,
      batch: settings.judgedAtOnce)
  }

  func train(_ step: Int) throws {
    let examples = data.training
    let items = order.items(step: step, batch: settings.batch)
    let views = items.map { item -> PreferenceView in
      guard step >= settings.cleanSteps else { return .clean }
      return .draw(settings.estimates > 0 ? item.epoch % settings.estimates : item.epoch)
    }
    let (loss, norm, gap) = try PreferenceStep(
      model: model, microBatch: settings.microBatch,
      checkInterruption: context.checkInterruption)(
        &state, examples, of: items.map(\.item), views)
    try log.append(
      step: step + 1, .figures([("loss", loss), ("gradient_norm", norm), ("score_gap", gap)]))
    context.progress.advance(
      by: settings.batch, note: "step \(step + 1), loss \(shortened(loss))")
  }

  func finish() throws {
    var step = state.step
    if settings.keep == .best {
      guard let best = best else { throw BestWeights.loss(in: folder) }
      try best.adopt(state.parameters)
      step = best.step
    }
    guard state.parameters.allSatisfy(\.tensor.isFinite) else {
      throw TrainingError.weightsNotFinite(stage: TrainPreference.name)
    }
    try Folders.make("\(folder)/model")
    try model.write(
      to: "\(folder)/model", precision: settings.precision,
      metadata: ["format": "pt", "step": "\(step)"])

    let accuracies = try settings.evaluatedViews.map {
      (view: $0, found: try accuracy(on: data.evaluation, $0))
    }
    let count = accuracies.last?.found.count ?? 0
    // At the timesteps used to select checkpoints.
    let shares = accuracies.filter { settings.checkedViews.contains($0.view) }.map(\.found.share)
    let split = data.evaluation.shards.split
    let findings = PreferenceFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), cleanSteps: settings.cleanSteps,
      accuracy: shares.reduce(0, +) / Double(max(1, shares.count)), comparisons: count)
    try TrainingWarnings.write(
      findings.warnings()
        + TrainingWarnings.ofRates(
          state.schedule, steps: settings.steps, stage: TrainPreference.name), to: folder)
    try PreferenceEvaluation.write(
      accuracies.map { ($0.view, $0.found.share) }, comparisons: count, of: split,
      choseCheckpoint: settings.keep == .best && split == data.validation.shards.split,
      step: step, to: folder)
  }
}
