import Autograd
import Diffusion
import Files
import Foundation
import NN
public import PipelineCore
import ProceduralWorld
import RandomStreams
import StageSupport
import TensorCore
import TrainingStages

/// The work of stage `autoencoder`: training steps.
public final class AutoencoderTraining: StageWork {
  private let settings: TrainAutoencoder.Settings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private let outputFolder: String
  private let model: Autoencoder
  private var state: TrainingState
  private let log: TrainingLog
  /// `[images, side, side, 3]` in -1...1.
  private let images: Tensor
  private let colours: Whitening

  /// Resumes from the newest checkpoint, if there is one.
  init(
    _ settings: TrainAutoencoder.Settings, _ context: StageContext, _ intervals: CheckpointIntervals
  ) throws {
    (self.settings, self.context, self.intervals) = (settings, context, intervals)
    outputFolder = context.output("\(TrainAutoencoder.name)/vae")
    let weights = Weights(randomSeed: settings.seed, isTrainable: true)
    model = try Autoencoder(
      weights, AutoencoderConfiguration(JSONReader(TinyModel.autoencoder, path: "autoencoder")))
    var state = try TrainingState(
      weights.parameters,
      optimizer: .init(beta1: 0.9, beta2: 0.99, weightDecay: 1e-4),
      schedule: .init(
        peak: settings.learningRate, warmUpSteps: 50, decay: .cosine, steps: settings.steps,
        finalShare: 0.02))
    log = try intervals.resume(&state)
    self.state = state
    images = try renderedImages(
      scenes: SceneSplit.standard.training, count: settings.pictures, seed: settings.seed, context)
    colours = Whitening(
      of: Self.cellColours(of: images.slice(axis: 0, 0..<min(512, settings.pictures))))
  }

  public func process(_ item: Range<Int>) throws -> Int {
    for step in item {
      try context.checkInterruption()
      let batch = batch(step, from: images)
      let (loss, error) = try loss(batch, step: step)
      let norm = try state.update(minimizing: loss)
      try log.append(
        step: step + 1,
        .figures([("loss", loss.scalar), ("error", error), ("gradient_norm", norm)]))
      context.progress.advance(note: "loss \(shortened(loss.scalar))")
    }
    return item.upperBound
  }

  public func commit(_ step: Int, of item: Range<Int>) throws {
    try intervals.commit(state, step: step, log: log)
  }

  public func finish() throws -> WorkSummary {
    try whitenLatents()
    try Folders.make(outputFolder)
    try writeJSON(TinyModel.autoencoder, to: "\(outputFolder)/config.json")
    try writeModel(
      state.parameters, to: "\(outputFolder)/diffusion_pytorch_model.safetensors")
    return WorkSummary()
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
        // Crops are aligned to the grid of latent cells.
        let top = WorldImage.cellSide * stream.integer(below: WorldImage.cellsPerSide / 2 + 1)
        let left = WorldImage.cellSide * stream.integer(below: WorldImage.cellsPerSide / 2 + 1)
        return images.slice(axis: 0, row..<row + 1).slice(axis: 1, top..<top + side)
          .slice(axis: 2, left..<left + side)
      }, axis: 0)
  }

  private func loss(
    _ images: Tensor, step: Int
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

  /// Returns the mean colour of each cell, three numbers each, in the order of latents.
  private static func cellColours(of images: Tensor) -> [[Float]] {
    let (count, side, cell) = (images.shape[0], images.shape[1], WorldImage.cellSide)
    let cells = side / cell
    let rows = images.reshaped(to: [count * cells, cell, cells, 3 * cell])
    let sums = rows.sum(over: 1..<2).reshaped(to: [count * cells * cells, cell, 3])
    let means = sums.sum(over: 1..<2).scaled(by: 1 / Float(cell * cell)).values
    return stride(from: 0, to: means.count, by: 3).map { Array(means[$0..<$0 + 3]) }
  }

  // MARK: - The end

  private func whitenLatents() throws {
    let (samples, variance) = withoutGradients {
      var samples: [[Float]] = []
      var variance = [Double](repeating: 0, count: 4)
      let count = min(512, settings.pictures)
      for start in stride(from: 0, to: count, by: 32) {
        let posterior = model.encoder(
          images.slice(axis: 0, start..<min(start + 32, count)))
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
      guard let found = state.parameters.first(where: { $0.name == name }) else {
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
