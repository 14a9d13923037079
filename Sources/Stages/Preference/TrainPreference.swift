import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
public import PipelineCore
import PreferenceModels
import Shards
import Telemetry
import TensorCore

/// Trains the step-aware preference model on comparisons of noised latents.
///
/// - Reads: `shards`
/// - Writes: `preference-model`, the folder `preference/model` with the best weights, and
///   `preference/evaluation.json`, how often it orders held-out comparisons as their labels do
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2
public final class TrainPreference: Stage {
  /// A block of estimates to make, or a stretch of steps.
  public enum Item: Sendable {
    case estimates(block: Int)
    case steps(Range<Int>)
  }

  public enum Output: Sendable {
    case estimates(block: Int)
    case steps(upTo: Int)
  }

  public static let name = "preference"
  public static let version = 1
  public static let unit = "steps"
  public static let settingsWithoutEffect: Set<String> = []
  public let reads: Set<Artifact> = ["shards"]
  public let writes: Set<Artifact> = ["preference-model"]

  private let settings: PreferenceSettings
  private let context: StageContext
  private let stretches: TrainingStretches
  private var training: Training?
  private var blockPictures: [Tensor] = []

  private struct Training {
    let model: PreferenceModel
    var state: TrainingState
    let log: MetricsLog
    let data: PreferenceData
    let validation: PreferenceData
    var best: Best
  }

  /// The weights that ordered validation comparisons best so far.
  private struct Best {
    var accuracy = -1.0
    var step = 0
    var weights: [[Float]] = []
  }

  public init(settings: PreferenceSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    stretches = try TrainingStretches(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  private var folder: String { context.workspace.path(Self.name) }
  private var modelFolder: String { "\(folder)/model" }
  private var shardFolder: String { context.workspace.path("shards") }

  public func inputs() throws -> [StageInput] {
    try ["unet", "vae", "scheduler"].flatMap {
      try context.digests.inputs(folder: "\(settings.model)/\($0)")
    } + context.digests.inputs(folder: settings.start)
  }

  public func missingOutput() -> String? {
    ["model/model.safetensors", "evaluation.json"].map { "\(folder)/\($0)" }
      .first { !Folders.exists($0) }
  }

  public func reset() throws { try Folders.remove(folder) }

  private func cache(_ shards: ShardSet) -> EstimateCache {
    EstimateCache(
      folder: "\(folder)/estimates", pairCount: shards.pairCount, draws: settings.estimates)
  }

  public func pendingItems() throws -> [Item] {
    let steps = try stretches.pending().map { Item.steps($0) }
    guard settings.estimates > 0, !steps.isEmpty else { return steps }
    let cache = cache(try ShardSet(folder: shardFolder, split: "train"))
    let blocks = (0..<cache.blockCount).filter { !Folders.exists(cache.path($0)) }
    return blocks.map { .estimates(block: $0) } + steps
  }

  public func finishedUnitCount() throws -> Int { try stretches.finishedSteps() }

  public func unitCount(of item: Item) -> Int {
    switch item {
    case .estimates: 0
    case .steps(let range): range.count
    }
  }

  // MARK: - Work

  public func prepare() throws {
    try Folders.make("\(folder)/estimates")
    let start = ModelFolder(path: settings.start)
    let (model, weights) =
      settings.startsFresh
      ? try start.freshPreferenceModel(seed: settings.seed)
      : try start.preferenceModel(isTrainable: true)
    var state = TrainingState(
      weights.parameters,
      optimizer: .init(beta2: settings.beta2, weightDecay: settings.weightDecay),
      schedule: .init(
        peak: settings.learningRate, warmUpSteps: settings.warmUpSteps, decay: .linear,
        steps: settings.steps),
      gradientLimit: settings.gradientLimit)
    let log = try stretches.resume(&state)
    let base = ModelFolder(path: settings.model)
    let scheduler = try DDIMScheduler(SchedulerConfig(folder: "\(base.path)/scheduler"))
    let estimator = CleanEstimator(
      unet: GuidedUNet(try base.unet().model, guidance: settings.guidance),
      autoencoder: try base.autoencoder().model, schedule: scheduler.schedule,
      prediction: scheduler.predictionType)
    training = Training(
      model: model, state: state, log: log,
      data: try PreferenceData(
        try ShardSet(folder: shardFolder, split: "train"), estimator, seed: settings.seed),
      validation: try PreferenceData(
        try validationShards(), estimator, seed: settings.seed),
      best: try readBest())
  }

  /// The held-out split: `validation_unique` as published, else `validation`.
  private func validationShards() throws -> ShardSet {
    let index = try ShardIndex(contentsOf: "\(shardFolder)/\(ShardIndex.fileName)")
    let split = index.splits.contains("validation_unique") ? "validation_unique" : "validation"
    return try ShardSet(folder: shardFolder, split: split)
  }

  public func process(_ item: Item) throws -> Output {
    guard let data = training?.data else { preconditionFailure("not prepared") }
    switch item {
    case .estimates(let block):
      let cache = cache(data.shards)
      let pairs = cache.pairs(ofBlock: block)
      blockPictures = try (0..<settings.estimates).map { draw in
        try data.pictures(
          of: pairs,
          timesteps: pairs.map {
            data.timestep(of: $0, draw: UInt64(draw), limit: settings.timestepLimit)
          }, draw: UInt64(draw))
      }
      context.progress.advance(by: 0, note: "estimates \(block + 1) of \(cache.blockCount)")
      return .estimates(block: block)
    case .steps(let range):
      for step in range {
        try context.checkInterruption()
        try train(step)
      }
      return .steps(upTo: range.upperBound)
    }
  }

  public func commit(_ output: Output, of item: Item) throws {
    guard var training else { preconditionFailure("not prepared") }
    switch output {
    case .estimates(let block):
      try cache(training.data.shards).write(blockPictures, block: block)
    case .steps(let step):
      let accuracy = try selectionAccuracy(training)
      if accuracy > training.best.accuracy {
        training.best = Best(
          accuracy: accuracy, step: step,
          weights: training.state.parameters.map(\.storedValues))
      }
      self.training = training
      let best = training.best
      try training.log.append(step: step, .figures([("validation_accuracy", Float(accuracy))]))
      try training.log.sync()
      try stretches.checkpoints.write(step: step) { folder in
        try training.state.write(to: folder)
        try writeSafetensors(
          zip(training.state.parameters, best.weights).map { parameter, values in
            OutgoingTensor(parameter.name, shape: parameter.storedShape, floats: { values })
          }, metadata: ["accuracy": "\(best.accuracy)", "step": "\(best.step)"],
          to: "\(folder)/best.safetensors")
      }
    }
  }

  private func readBest() throws -> Best {
    guard let newest = try stretches.checkpoints.newest() else { return Best() }
    let file = try SafetensorsFile(path: "\(newest.path)/best.safetensors")
    guard let accuracy = file.metadata["accuracy"].flatMap({ Double($0) }),
      let step = file.metadata["step"].flatMap({ Int($0) })
    else { throw TrainingError.noStep(path: file.path) }
    return Best(accuracy: accuracy, step: step, weights: [])
  }

  private func train(_ step: Int) throws {
    guard var training else { return }
    let data = training.data
    let order = EpochOrder(count: data.shards.pairCount, seed: settings.seed)
    let pairs = order.items(step: step, batch: settings.batch)
    let isClean = step < settings.cleanSteps
    let pictures: Tensor
    var timesteps = [Int](repeating: 0, count: pairs.count)
    if isClean {
      pictures = try data.pictures(of: pairs.map(\.item), timesteps: nil, draw: 0)
    } else {
      let draws = pairs.map { pair in
        settings.estimates > 0 ? pair.epoch % settings.estimates : pair.epoch
      }
      timesteps = zip(pairs, draws).map { pair, draw in
        data.timestep(of: pair.item, draw: UInt64(draw), limit: settings.timestepLimit)
      }
      pictures =
        settings.estimates > 0
        ? try cache(data.shards).pictures(of: zip(pairs, draws).map { ($0.item, $1) })
        : try concatenatedBySide(
          zip(pairs, zip(draws, timesteps)).map { pair, drawn in
            try data.pictures(of: [pair.item], timesteps: [drawn.1], draw: UInt64(drawn.0))
          })
    }
    let items = pairs.map(\.item)
    let scores = scores(training.model, pictures, timesteps, try data.ids(of: items))
    let loss = preferenceLoss(scores: scores, labels: try data.labels(of: items))
    let norm = try training.state.update(minimizing: loss)
    try training.log.append(
      step: step + 1, .figures([("loss", loss.scalar), ("gradient_norm", norm)]))
    context.progress.advance(note: "loss \(shortened(loss.scalar))")
    self.training = training
  }

  /// Pairs of pictures one after another as all left ones, then all right ones.
  private func concatenatedBySide(_ pairs: [Tensor]) throws -> Tensor {
    concatenated(
      (0..<2).flatMap { side in pairs.map { $0.slice(axis: 0, side..<side + 1) } }, axis: 0)
  }

  private func scores(
    _ model: PreferenceModel, _ pictures: Tensor, _ timesteps: [Int], _ ids: [[Int]]
  ) -> (first: Tensor, second: Tensor) {
    let count = timesteps.count
    let times = (timesteps + timesteps).map { Float($0) }
    let images = model.imageEmbedding(model.trainingPixels(pictures), timesteps: times)
    let texts = model.textEmbedding(ids)
    return (
      model.score(image: images.slice(axis: 0, 0..<count), text: texts),
      model.score(image: images.slice(axis: 0, count..<2 * count), text: texts)
    )
  }

  // MARK: - Evaluation

  private func selectionAccuracy(_ training: Training) throws -> Double {
    let steps = settings.validationTimesteps.filter { $0 < settings.selectionLimit }
    let pairs = Array(0..<min(settings.validationPairs, training.validation.shards.pairCount))
    let accuracies = try steps.map { try accuracy(training, at: $0, pairs: pairs).share }
    return accuracies.reduce(0, +) / Double(max(1, accuracies.count))
  }

  /// How often the scores order comparisons as their labels do; ties are left out.
  private func accuracy(
    _ training: Training, at timestep: Int?, pairs: [Int]
  ) throws -> (share: Double, count: Int) {
    let data = training.validation
    let decided = try pairs.filter { try !data.shards.pair($0).isTie }
    var correct = 0
    for start in stride(from: 0, to: decided.count, by: 32) {
      let batch = Array(decided[start..<min(start + 32, decided.count)])
      let steps = batch.map { _ in timestep ?? 0 }
      let pictures = try data.pictures(
        of: batch, timesteps: timestep.map { _ in steps }, draw: UInt64(timestep ?? 0))
      let ids = try data.ids(of: batch)
      let scores = withoutGradients { self.scores(training.model, pictures, steps, ids) }
      for (index, label) in try data.labels(of: batch).enumerated() {
        let margin = scores.first.pointer[index] - scores.second.pointer[index]
        if margin > 0 && label.first > label.second || margin < 0 && label.first < label.second {
          correct += 1
        }
      }
    }
    return (Double(correct) / Double(max(1, decided.count)), decided.count)
  }

  public func finish() throws {
    guard let training, let newest = try stretches.checkpoints.newest() else { return }
    let best = try SafetensorsFile(path: "\(newest.path)/best.safetensors")
    for parameter in training.state.parameters {
      parameter.assign(try best.floats(parameter.name))
    }
    try Folders.make(modelFolder)
    for name in ["config.json", "preprocessor_config.json"] {
      let bytes = try RegularFile(path: "\(settings.start)/\(name)").readAll()
      try AtomicFile.replace("\(modelFolder)/\(name)", with: bytes)
    }
    try writeSafetensors(
      training.state.parameters.map { OutgoingTensor($0.name, storing: $0) },
      metadata: ["format": "pt", "step": "\(training.best.step)"],
      to: "\(modelFolder)/model.safetensors")

    let pairs = Array(0..<training.validation.shards.pairCount)
    var accuracies = JSON.Object()
    let clean = try accuracy(training, at: nil, pairs: pairs)
    accuracies["clean"] = .number(clean.share)
    for timestep in settings.validationTimesteps {
      accuracies["\(timestep)"] = .number(
        try accuracy(training, at: timestep, pairs: pairs).share)
    }
    try writeJSON(
      [
        "accuracy": .object(accuracies), "pairs": .integer(clean.count),
        "step": .integer(training.best.step),
      ], to: "\(folder)/evaluation.json")
  }

  public func results() throws -> [String] {
    let evaluation = try JSONReader(contentsOf: "\(folder)/evaluation.json")
    let parts = try evaluation["accuracy"].members().map { key, value in
      "\(key == "clean" ? key : "t=\(key)") \(String(format: "%.3f", try value.double()))"
    }
    return [
      "orders \(try evaluation.int("pairs")) held-out comparisons as their labels do: "
        + parts.joined(separator: ", "),
      "the preference model is in \(modelFolder)",
    ]
  }
}
