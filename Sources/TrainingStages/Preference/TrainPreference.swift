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
/// Images that are used more than once are generated first and stored; a latent preference model
/// needs none.
///
/// - Reads: `shards`
/// - Writes: `preference-model`, the folder `preference/model` with the last weights or the best;
///   `evaluation`, its agreement with the labels of held-out comparisons and the training
///   measurements
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2; Zhang et al. 2025, arXiv 2502.01051, section 4.1
package struct TrainPreference: RankedStage {
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
  let context: StageContext
  let intervals: CheckpointIntervals
  let store: ImageStore

  init(settings: PreferenceSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
    store = ImageStore(folder: context.output("\(Self.name)/pictures"))
  }

  var folder: String { context.output(Self.name) }
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

  // MARK: - Remaining work

  /// Returns all images that are generated before use, in order.
  private func blocks(of data: PreferenceData) -> [ImageStore.Block] {
    trainingBlocks(count: data.training.count) + heldOutBlocks(of: data)
  }

  private func heldOutBlocks(of data: PreferenceData) -> [ImageStore.Block] {
    heldOutBlocks(
      (data.validation.shards.split, data.validation.count),
      (data.evaluation.shards.split, data.evaluation.count))
  }

  /// The images of so many comparisons to learn from.
  func trainingBlocks(count: Int) -> [ImageStore.Block] {
    guard settings.kind == .pixel, settings.estimates > 0 else { return [] }
    let cleanViews = settings.cleanSteps > 0 ? [PreferenceView.clean] : []
    return (cleanViews + (0..<settings.estimates).map { .draw($0) }).flatMap {
      ImageStore.Block.all("train", $0, count: count)
    }
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

  func workPlan() throws -> WorkPlan<PreferenceWork> {
    let data = Deferred(data)
    let all = try settings.kind == .pixel ? blocks(of: data()) : []
    let steps = try intervals.pending()
    // The final evaluation needs the validation split's images even when training is done.
    let needed = Set(try steps.isEmpty && !all.isEmpty ? heldOutBlocks(of: data()) : all)
    let held = all.filter(store.holds)
    let blocks = all.enumerated().filter {
      needed.contains($0.element) && (context.isPart || !store.holds($0.element))
    }
    return WorkPlan(
      blocks.map { .images($0.element, position: $0.offset) } + steps.map { .steps($0) },
      finishedUnitCount: try held.reduce(intervals.finishedSteps() * settings.batch) {
        $0 + $1.pairs.count
      },
      unitCount: comparisonCount, division: self
    ) {
      try begin(try data(), missing: blocks.map(\.element))
      return makeWork(try data(), blocks: all)
    }
  }

  private func comparisonCount(of item: PreferenceWork.Item) -> Int {
    switch item {
    case .images(let block, _): block.pairs.count
    case .steps(let range): range.count * settings.batch
    }
  }

  private func makeWork(_ data: PreferenceData, blocks: [ImageStore.Block]) -> PreferenceWork {
    PreferenceWork(self, context, intervals, data, blocks: blocks)
  }

  private func begin(_ data: PreferenceData, missing: [ImageStore.Block]) throws {
    try requireComparisons(data)
    guard !context.isPart else { return }
    try Folders.make("\(folder)/pictures")
    if !missing.isEmpty {
      let side = try imageSide()
      try DiskSpace.require(
        missing.reduce(0) { $0 + $1.pairs.count } * 2 * side * side * 3,
        at: context.workspace.path, for: "images")
    }
    context.noteIdleRanks(
      "train", batch: settings.batch, "preference.batch", settings.microBatch,
      "preference.micro_batch")
  }

  func follow() throws {
    let data = try data()
    try makeWork(data, blocks: blocks(of: data)).follow()
  }

  private var shardFolder: String { context.workspace.path("shards") }

  private func data() throws -> PreferenceData {
    PreferenceData(
      training: examples(try ShardSet(folder: shardFolder, split: "train")),
      validation: examples(try ShardSet.heldOut(in: shardFolder)),
      evaluation: examples(try ShardSet.evaluated(in: shardFolder)))
  }

  /// Rejects data that teaches no preference.
  private func requireComparisons(_ data: PreferenceData) throws {
    guard data.training.count > 0, data.validation.count > 0 else {
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason: "stage preference needs comparisons to train on and some that are held out "
          + "(shard.validation_fraction)")
    }
    try data.training.shards.requireDecidedPairs()
  }

  /// Returns the height and width of a pixel model's images.
  func imageSide() throws -> Int {
    try ModelFolder(path: settings.start).preferenceConfiguration().imageSize
  }

  func examples(_ shards: any ComparisonData) -> PreferenceExamples {
    PreferenceExamples(
      shards: shards, seed: settings.seed,
      timesteps: .init(limit: settings.timestepLimit, spacing: settings.timestepSpacing),
      sharesNoise: settings.sharesNoise)
  }

  func spareFindings() throws -> [String] { try intervals.findings() }

  func results() throws -> [String] {
    try TrainingWarnings.read(from: folder).map { "warning: \($0)" }
      + (PreferenceEvaluation.line(from: folder).map { [$0] } ?? [])
      + ["the preference model is in \(modelFolder)"]
  }
}
