import Autograd
import Diffusion
import Files
import Foundation
import HostResources
import NN
public import PipelineCore
import ProceduralWorld
import RandomStreams
import StageSupport
import TensorCore
import TrainingStages

/// Trains the autoencoder of the embedded model from nothing, on renders of the procedural world.
///
///     loss = |e| + 2 e^2 + (|dx e| + |dy e|) / 2 + KL weight KL + anchor weight anchor
///
/// with e the error of the decoded image and dx, dy its differences between neighbours. The anchor
/// ties the first three latent channels to the whitened mean colour of their cell: without it
/// the latent channels collapse onto one another. Afterwards the latents are whitened exactly.
///
/// - Reads: nothing
/// - Writes: `autoencoder`, the folder `autoencoder/vae` in the layout of diffusers
public final class TrainAutoencoder: Stage {
  public struct Settings: StageSettings {
    @Setting("Seed of all random streams.")
    public var seed: UInt64 = 42
    @Setting("Training steps.", in: 1...1_000_000)
    public var steps = 1200
    @Setting("Images to render once and sample from.", in: 32...1_000_000)
    public var pictures = 1024
    @Setting(
      "Crops of half the side per batch in the first four fifths of the steps.", in: 1...256)
    public var cropBatch = 16
    @Setting("Whole images per batch in the remaining steps.", in: 1...256)
    public var pictureBatch = 8
    @Setting("Peak learning rate of AdamW.", in: 1e-9...0.1)
    public var learningRate: Float = 2e-3
    @Setting("Weight of the KL divergence in the loss.", in: 0...1_000)
    public var klWeight: Float = 1e-4
    @Setting("Weight of the term that ties latents to mean colours.", in: 0...1_000)
    public var anchorWeight: Float = 0.1
    @Setting("Steps between checkpoints.", in: 1...1_000_000)
    public var checkpointEvery = 100

    public init() {}
  }

  public static let name = "autoencoder"
  public static let version = 1
  public static let unit = "steps"
  public static let usesDevice = true
  public static let settingsWithoutEffect: Set<String> = ["checkpoint_every"]
  public let reads: Set<Artifact> = []
  public static let spare = ["autoencoder/checkpoints"]
  public static let repairsFiles = true
  public let writes: [Artifact: [String]] = ["autoencoder": ["autoencoder/vae"]]
  public static let fileNames = ["autoencoder/vae/"] + CheckpointIntervals.fileNames(name)

  private let settings: Settings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private var training: Training?

  /// What `prepare` makes.
  private struct Training {
    let model: Autoencoder
    var state: TrainingState
    let log: TrainingLog
    /// `[images, side, side, 3]` in -1...1.
    let images: Tensor
    let colours: Whitening
  }

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  private var outputFolder: String { context.output("\(Self.name)/vae") }

  public func pendingItems() throws -> [Range<Int>] { try intervals.pending() }
  public func finishedUnitCount() throws -> Int { try intervals.finishedSteps() }
  public func unitCount(of item: Range<Int>) -> Int { item.count }

  public func prepare() throws {
    let weights = Weights(randomSeed: settings.seed, isTrainable: true)
    let model = try Autoencoder(
      weights, AutoencoderConfiguration(JSONReader(TinyModel.autoencoder, path: "autoencoder")))
    var state = try TrainingState(
      weights.parameters,
      optimizer: .init(beta1: 0.9, beta2: 0.99, weightDecay: 1e-4),
      schedule: .init(
        peak: settings.learningRate, warmUpSteps: 50, decay: .cosine, steps: settings.steps,
        finalShare: 0.02))
    let log = try intervals.resume(&state)
    let images = try renderedImages(
      scenes: SceneSplit.standard.training, count: settings.pictures, seed: settings.seed, context)
    training = Training(
      model: model, state: state, log: log, images: images,
      colours: Whitening(
        of: Self.cellColours(of: images.slice(axis: 0, 0..<min(512, settings.pictures)))))
  }

  public func process(_ item: Range<Int>) throws -> Int {
    guard var training else { return 0 }
    for step in item {
      try context.checkInterruption()
      let batch = batch(step, from: training.images)
      let (loss, error) = try loss(training.model, batch, training.colours, step: step)
      let norm = try training.state.update(minimizing: loss)
      try training.log.append(
        step: step + 1,
        .figures([("loss", loss.scalar), ("error", error), ("gradient_norm", norm)]))
      context.progress.advance(note: "loss \(shortened(loss.scalar))")
    }
    self.training = training
    return item.upperBound
  }

  public func commit(_ step: Int, of item: Range<Int>) throws {
    guard let training else { return }
    try intervals.commit(training.state, step: step, log: training.log)
  }

  public func finish() throws {
    guard let training else { return }
    try whitenLatents(training)
    try Folders.make(outputFolder)
    try writeJSON(TinyModel.autoencoder, to: "\(outputFolder)/config.json")
    try writeModel(
      training.state.parameters, to: "\(outputFolder)/diffusion_pytorch_model.safetensors")
  }

  // MARK: - One step

  private func batch(_ step: Int, from images: Tensor) -> Tensor {
    var stream = RandomStream(seed: settings.seed, purpose: "autoencoder.batch", item: UInt64(step))
    let isWhole = step >= settings.steps * 4 / 5
    let count = isWhole ? settings.pictureBatch : settings.cropBatch
    let rows = (0..<count).map { _ in stream.integer(below: settings.pictures) }
    guard !isWhole else { return images.rows(at: rows) }
    let side = TinyModel.imageSide / 2
    return concatenated(
      rows.map { row in
        // Crops keep to the grid of the cells that a latent stands for.
        let top = WorldImage.cellSide * stream.integer(below: WorldImage.cellsPerSide / 2 + 1)
        let left = WorldImage.cellSide * stream.integer(below: WorldImage.cellsPerSide / 2 + 1)
        return images.slice(axis: 0, row..<row + 1).slice(axis: 1, top..<top + side)
          .slice(axis: 2, left..<left + side)
      }, axis: 0)
  }

  private func loss(
    _ model: Autoencoder, _ images: Tensor, _ colours: Whitening, step: Int
  ) throws -> (Tensor, error: Float) {
    let posterior = model.encoder(images)
    var stream = RandomStream(seed: settings.seed, purpose: "autoencoder.noise", item: UInt64(step))
    let noise = Tensor(shape: posterior.mean.shape) { stream.fillNormal($0) }
    let deviation = posterior.logVariance.scaled(by: 0.5).mapped(by: .exponential)
    let decoded = model.decoder(posterior.mean + deviation * noise)

    let error = decoded - images
    let absolute = error.mapped(by: .absolute).mean()
    let squared = error.mapped(by: .square).mean()
    let (height, width) = (error.shape[1], error.shape[2])
    let across =
      error.slice(axis: 2, 1..<width) - error.slice(axis: 2, 0..<width - 1)
    let down = error.slice(axis: 1, 1..<height) - error.slice(axis: 1, 0..<height - 1)
    let differences = across.mapped(by: .absolute).mean() + down.mapped(by: .absolute).mean()
    // KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - log v) / 2
    let divergence =
      (posterior.mean.mapped(by: .square) + posterior.logVariance.mapped(by: .exponential)
      - posterior.logVariance).scaled(by: 0.5, adding: -0.5).mean()
    let targets = Self.cellColours(of: images).flatMap { colours($0) }
    let anchored = posterior.mean.slice(axis: 3, 0..<3)
    let anchor = (anchored - Tensor(targets, shape: anchored.shape)).mapped(by: .square).mean()
    let loss =
      absolute + squared.scaled(by: 2) + differences.scaled(by: 0.5)
      + divergence.scaled(by: settings.klWeight) + anchor.scaled(by: settings.anchorWeight)
    return (loss, absolute.scalar)
  }

  /// The mean colour of each cell, three numbers each, in the order of latents.
  private static func cellColours(of images: Tensor) -> [[Float]] {
    let (count, side, cell) = (images.shape[0], images.shape[1], WorldImage.cellSide)
    let cells = side / cell
    let rows = images.reshaped(to: [count * cells, cell, cells, 3 * cell])
    let sums = rows.sum(over: 1..<2).reshaped(to: [count * cells * cells, cell, 3])
    let means = sums.sum(over: 1..<2).scaled(by: 1 / Float(cell * cell)).values
    return stride(from: 0, to: means.count, by: 3).map { Array(means[$0..<$0 + 3]) }
  }

  // MARK: - The end

  private func whitenLatents(_ training: Training) throws {
    let (samples, variance) = withoutGradients {
      var samples: [[Float]] = []
      var variance = [Double](repeating: 0, count: 4)
      let count = min(512, settings.pictures)
      for start in stride(from: 0, to: count, by: 32) {
        let posterior = training.model.encoder(
          training.images.slice(axis: 0, start..<min(start + 32, count)))
        let means = posterior.mean.values
        samples += stride(from: 0, to: means.count, by: 4).map { Array(means[$0..<$0 + 4]) }
        let logs = posterior.logVariance.values
        for (index, log) in logs.enumerated() {
          variance[index % 4] += exp(Double(log))
        }
      }
      return (samples, variance.map { $0 / Double(samples.count) })
    }
    func parameter(_ name: String) throws -> Parameter {
      guard let found = training.state.parameters.first(where: { $0.name == name }) else {
        throw WeightError.missing(path: nil, name: name, expected: [])
      }
      return found
    }
    let whitening = Whitening(of: samples)
    whitening.fold(
      intoQuant: (try parameter("quant_conv.weight"), try parameter("quant_conv.bias")),
      postQuant: (try parameter("post_quant_conv.weight"), try parameter("post_quant_conv.bias")),
      variance: variance)
    let spread = (0..<4).map { shortened(Float(whitening.inverse[$0][$0])) }
    context.progress.say("latents whitened; their spread was \(spread.joined(separator: ", "))")
  }
}

/// Renders of scenes, one after another, `[count, side, side, 3]` in -1...1.
func renderedImages(
  scenes: [Scene], count: Int, seed: UInt64, _ context: StageContext
) throws -> Tensor {
  let side = WorldImage.side
  let size = side * side * 3
  return try Tensor(shape: [count, side, side, 3]) { images in
    for start in stride(from: 0, to: count, by: 64) {
      try context.checkInterruption()
      parallelItems(min(64, count - start)) { offset in
        let index = start + offset
        let image = WorldImage(of: scenes[index % scenes.count], seed: seed, item: UInt64(index))
        for (place, value) in image.values.enumerated() {
          images[index * size + place] = 2 * value - 1
        }
      }
    }
  }
}
