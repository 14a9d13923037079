import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PipelineCore
import PreferenceModels
import Ranks
import Shards
import StageSupport
import Telemetry

/// Trains the step-aware preference model on comparisons of noised latents.
///
/// Images that are looked at more than once are made first and kept; a latent preference model needs none.
///
/// - Reads: `shards`
/// - Writes: `preference-model`, the folder `preference/model` with the last weights or the best; `evaluation`, how
///   often it orders comparisons that it has not learned from as their labels do and what was measured on
///   the way
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2; Zhang et al. 2025, arXiv 2502.01051, section 4.1
package final class TrainPreference: RankedStage {
  /// Images to make, or a stretch of steps.
  enum Item {
    case images(ImageStore.Block)
    case steps(Range<Int>)
  }

  enum Output {
    case images(Tensor)
    case steps(upTo: Int)
  }

  static let name = "preference"
  static let version = 2
  static let unit = "comparisons"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = ["model", "tokenizer", "vae", "start"]
  static let scratch = ["preference/pictures"]
  static let spare = ["preference/checkpoints", "preference/best.safetensors"]
  static let repairsFiles = true
  static let secondary = [
    "preference/evaluation.json", "preference/metrics.jsonl", "preference/warnings.json",
  ]
  let reads: Set<Artifact> = ["shards"]
  let writes: [Artifact: [String]] = [
    "preference-model": ["preference/model"], "evaluation": secondary,
  ]
  static let fileNames =
    [
      "config.json", "preprocessor_config.json", "model.safetensors", "*/config.json",
      "*/*.safetensors",
    ]
    .map { "preference/model/\($0)" }
    + ["preference/best.safetensors", "preference/pictures/*.safetensors"] + secondary
    + CheckpointIntervals.fileNames(name)

  package let settings: PreferenceSettings
  private let context: StageContext
  let intervals: CheckpointIntervals
  let store: ImageStore
  private var training: Training?
  private var estimation: Estimation?
  /// Where images stand among all that are made.
  private(set) var positions: [ImageStore.Block: Int] = [:]

  private struct Estimation {
    let images: EstimatedImages
    /// All images that are made.
    let blocks: [ImageStore.Block]
    /// To train on, to judge checkpoints by and to evaluate with.
    let examples: [PreferenceExamples]
  }

  private struct Training {
    let trainee: any TrainablePreferenceModel
    var state: TrainingState
    let log: TrainingLog
    let examples: PreferenceExamples
    let validation: PreferenceExamples
    /// What the finished model is evaluated on; may be the same.
    let evaluation: PreferenceExamples
    var order: EpochOrder
    var best: BestWeights?
  }

  init(settings: PreferenceSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
    store = ImageStore(folder: context.output("\(Self.name)/pictures"))
  }

  private var folder: String { context.output(Self.name) }
  private var modelFolder: String { "\(folder)/model" }
  var base: ModelFolder { settings.base }

  func inputs() throws -> [StageInput] {
    let model = base
    let parts =
      settings.kind == .pixel
      ? ["unet", "vae", "scheduler"] : ["unet"] + model.textParts + ["scheduler"]
    let start = ModelFolder(path: settings.start)
    return try model.inputs(parts, context.digests)
      + (settings.start.isEmpty ? [] : start.preferenceInputs(context.digests, as: "start"))
  }

  // MARK: - What is left

  private func blocks() throws -> [ImageStore.Block] {
    try trainingBlocks(count: trainingExamples().count) + validationBlocks()
  }

  /// The images of so many comparisons to learn from.
  func trainingBlocks(count: Int) -> [ImageStore.Block] {
    guard settings.kind == .pixel, settings.estimates > 0 else { return [] }
    let cleanViews = settings.cleanSteps > 0 ? [PreferenceView.clean] : []
    return (cleanViews + (0..<settings.estimates).map { .draw($0) }).flatMap {
      ImageStore.Block.all("train", $0, count: count)
    }
  }

  private func validationBlocks() throws -> [ImageStore.Block] {
    guard settings.kind == .pixel else { return [] }
    let (validation, evaluation) = (try validationExamples(), try evaluationExamples())
    return heldOutBlocks(
      (validation.shards.split, validation.count), (evaluation.shards.split, evaluation.count))
  }

  /// The images of the splits that checkpoints are judged by and that the finished model is evaluated on.
  func heldOutBlocks(
    _ validation: (split: String, count: Int), _ evaluation: (split: String, count: Int)
  ) -> [ImageStore.Block] {
    guard settings.kind == .pixel else { return [] }
    let isOneSplit = validation.split == evaluation.split
    let heldOut =
      (isOneSplit ? [] : [(validation, settings.checkedViews)])
      + [(evaluation, settings.evaluatedViews)]
    return heldOut.flatMap { data, views in
      views.flatMap {
        ImageStore.Block.all(data.split, $0, count: min(settings.validationPairs, data.count))
      }
    }
  }

  func earlierSettings() -> [String: JSON] {
    ["warm_up": "linear", "keep": "best", "step_aware": true]
  }

  func remakesFilesAtOnce() throws -> Bool {
    try intervals.pending().isEmpty
      && (settings.keep == .last || Folders.exists(BestWeights.path(in: folder)))
  }

  func pendingItems() throws -> [Item] {
    positions = Dictionary(
      try blocks().enumerated().map { ($0.element, $0.offset) },
      uniquingKeysWith: { first, _ in first })
    let steps = try intervals.pending().map { Item.steps($0) }
    // To evaluate, those of the validation split are needed when all is learned, too.
    let blocks = try steps.isEmpty ? validationBlocks() : blocks()
    return blocks.filter { context.isPart || !store.holds($0) }.map { .images($0) } + steps
  }

  func finishedUnitCount() throws -> Int {
    let blocks = try blocks().filter { store.holds($0) }
    return blocks.reduce(try intervals.finishedSteps() * settings.batch) { $0 + $1.pairs.count }
  }

  func unitCount(of item: Item) -> Int {
    switch item {
    case .images(let block): block.pairs.count
    case .steps(let range): range.count * settings.batch
    }
  }

  // MARK: - Work

  private var shardFolder: String { context.workspace.path("shards") }

  private func trainingExamples() throws -> PreferenceExamples {
    examples(try ShardSet(folder: shardFolder, split: "train"))
  }

  private func validationExamples() throws -> PreferenceExamples {
    examples(try ShardSet.heldOut(in: shardFolder))
  }

  private func evaluationExamples() throws -> PreferenceExamples {
    examples(try ShardSet.evaluated(in: shardFolder))
  }

  func examples(_ shards: any ComparisonData) -> PreferenceExamples {
    PreferenceExamples(
      shards: shards, seed: settings.seed,
      timesteps: .init(limit: settings.timestepLimit, spacing: settings.timestepSpacing),
      sharesNoise: settings.sharesNoise)
  }

  func beginCommits() throws { try Folders.make("\(folder)/pictures") }

  func prepare() throws {
    let isFirst = context.ranks.isFirst
    try requireComparisons()
    guard !context.isPart else {
      return try prepareEstimation(
        estimatedImages(
          side: ModelFolder(path: settings.start).preferenceConfiguration().imageSize))
    }
    let (trainee, images) = try makeTrainee(store)
    if settings.optimizerOnDisk, isFirst {
      let count = trainee.parameters.reduce(0) { $0 + $1.tensor.count }
      try DiskSpace.require(8 * count, at: folder, for: "the optimizer's moments")
    }
    var state = try makeState(
      trainee, moments: settings.optimizerOnDisk ? .disk(folder: folder) : .memory,
      ranks: context.ranks)
    let log = try intervals.resume(&state)
    let examples = try trainingExamples()
    training = Training(
      trainee: trainee, state: state, log: log,
      examples: examples, validation: try validationExamples(),
      evaluation: try evaluationExamples(),
      order: EpochOrder(count: examples.count, seed: settings.seed),
      best: settings.keep == .best && isFirst ? try BestWeights(in: folder) : nil)
    context.noteIdleRanks(
      "train", batch: settings.batch, "preference.batch", settings.microBatch,
      "preference.micro_batch")
    guard let images else { return }
    try prepareEstimation(images)
    guard isFirst else { return }
    let pairs = try blocks().filter { !store.holds($0) }.reduce(0) { $0 + $1.pairs.count }
    try DiskSpace.require(
      pairs * 2 * images.side * images.side * 3, at: context.workspace.path, for: "images")
  }

  private func prepareEstimation(_ images: EstimatedImages) throws {
    estimation = Estimation(
      images: images, blocks: try blocks(),
      examples: [try trainingExamples(), try validationExamples(), try evaluationExamples()])
  }

  /// Refuses data that teaches no preference.
  private func requireComparisons() throws {
    let examples = try trainingExamples()
    let heldOut = try validationExamples()
    guard examples.count > 0, heldOut.count > 0 else {
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason: "stage preference needs comparisons to train on and some that are held out "
          + "(shard.validation_fraction)")
    }
    try examples.shards.requireDecidedPairs()
  }

  func process(_ item: Item) throws -> Output {
    switch item {
    case .images(let block):
      context.progress.advance(by: 0, note: "estimating \(block.split) images, \(block.view.name)")
      guard let place = positions[block] else {
        preconditionFailure("images that no step looks at")
      }
      var output: Output?
      try context.lead(
        settings.steps + place, save: { try output.map { try commit($0, of: item) } },
        body: { output = .images(try images(of: block)) })
      return output ?? .steps(upTo: 0)
    case .steps(let range):
      for step in range {
        try context.lead(step, save: { try writeCheckpoint(step + 1) }, body: { try train(step) })
      }
      return .steps(upTo: range.upperBound)
    }
  }

  func follow() throws {
    try prepare()
    guard let training else { return }
    try context.follow(digest: training.state.weightsDigest) { step in
      if step < settings.steps {
        try train(step)
      } else {
        guard let blocks = estimation?.blocks else { preconditionFailure("not prepared") }
        _ = try images(of: blocks[step - settings.steps])
      }
    }
  }

  private func images(of block: ImageStore.Block) throws -> Tensor {
    guard let estimation,
      let examples = estimation.examples.first(where: { $0.shards.split == block.split })
    else { preconditionFailure("images that no step looks at") }
    let pairs = Array(block.pairs)
    return try estimation.images(examples, of: pairs, pairs.map { _ in block.view }, context.ranks)
  }

  func commit(_ output: Output, of item: Item) throws {
    switch (output, item) {
    case (.images(let images), .images(let block)): try store.write(images, block)
    case (.steps(let step), _): try writeCheckpoint(step)
    default: preconditionFailure("an output of another item")
    }
  }

  private func writeCheckpoint(_ step: Int) throws {
    // What is kept must not depend on where ranks were stopped.
    if intervals.isRegular(step) { try judge(step) }
    guard let training else { return }
    try intervals.commit(training.state, step: step, log: training.log)
  }

  /// Measures the weights on comparisons that are held out, and keeps the best.
  private func judge(_ step: Int) throws {
    guard var training else { return }
    let shares = try settings.checkedViews.map {
      try accuracy(training, on: training.validation, $0).share
    }
    let mean = shares.reduce(0, +) / Double(max(1, shares.count))
    if settings.keep == .best, mean > training.best?.accuracy ?? -1 {
      training.best = try BestWeights(
        training.state.parameters, accuracy: mean, step: step, in: folder)
    }
    self.training = training
    try training.log.append(step: step, .figures([("validation_accuracy", Float(mean))]))
  }

  private func accuracy(
    _ training: Training, on examples: PreferenceExamples, _ view: PreferenceView
  ) throws -> (share: Double, count: Int) {
    try training.trainee.accuracy(
      examples, count: min(settings.validationPairs, examples.count), view,
      batch: settings.judgedAtOnce)
  }

  private func train(_ step: Int) throws {
    guard var training else { return }
    let examples = training.examples
    let items = training.order.items(step: step, batch: settings.batch)
    let views = items.map { item -> PreferenceView in
      guard step >= settings.cleanSteps else { return .clean }
      return .draw(settings.estimates > 0 ? item.epoch % settings.estimates : item.epoch)
    }
    let (loss, norm, gap) = try PreferenceStep(
      trainee: training.trainee, microBatch: settings.microBatch,
      checkInterruption: context.checkInterruption)(
        &training.state, examples, of: items.map(\.item), views)
    try training.log.append(
      step: step + 1, .figures([("loss", loss), ("gradient_norm", norm), ("score_gap", gap)]))
    context.progress.advance(
      by: settings.batch, note: "step \(step + 1), loss \(shortened(loss))")
    self.training = training
  }

  func finish() throws {
    guard let training else { return }
    var step = training.state.step
    if settings.keep == .best {
      guard let best = training.best else { throw BestWeights.loss(in: folder) }
      try best.adopt(training.state.parameters)
      step = best.step
    }
    guard training.state.parameters.allSatisfy(\.tensor.isFinite) else {
      throw TrainingError.weightsNotFinite(stage: Self.name)
    }
    try Folders.make(modelFolder)
    try training.trainee.write(
      to: modelFolder, precision: settings.precision,
      metadata: ["format": "pt", "step": "\(step)"])

    let accuracies = try settings.evaluatedViews.map {
      (view: $0, found: try accuracy(training, on: training.evaluation, $0))
    }
    let count = accuracies.last?.found.count ?? 0
    // At the timesteps that checkpoints are judged by.
    let shares = accuracies.filter { settings.checkedViews.contains($0.view) }.map(\.found.share)
    let split = training.evaluation.shards.split
    let findings = PreferenceFindings(
      try MetricsLog.lines(of: "\(folder)/metrics.jsonl"), cleanSteps: settings.cleanSteps,
      accuracy: shares.reduce(0, +) / Double(max(1, shares.count)), comparisons: count)
    try TrainingWarnings.write(
      findings.warnings()
        + TrainingWarnings.ofRates(
          training.state.schedule, steps: settings.steps, stage: Self.name), to: folder)
    try PreferenceEvaluation.write(
      accuracies.map { ($0.view, $0.found.share) }, comparisons: count, of: split,
      choseCheckpoint: settings.keep == .best && split == training.validation.shards.split,
      step: step, to: folder)
  }

  func spareFindings() throws -> [String] { try intervals.findings() }

  func results() throws -> [String] {
    try TrainingWarnings.read(from: folder).map { "warning: \($0)" }
      + (PreferenceEvaluation.line(from: folder).map { [$0] } ?? [])
      + ["the preference model is in \(modelFolder)"]
  }
}
