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

/// Trains the autoencoder of the embedded model from scratch, on renders of the procedural world.
///
///     loss = |e| + 2 e^2 + (|dx e| + |dy e|) / 2 + KL weight KL + anchor weight anchor
///
/// with e the error of the decoded image and dx, dy its differences between neighbours. The anchor
/// ties the first three latent channels to the whitened mean colour of their cell: without it
/// the latent channels collapse onto one another. Afterwards the latents are whitened exactly.
///
/// - Reads: nothing
/// - Writes: `autoencoder`, the folder `autoencoder/vae` in the layout of diffusers
public struct TrainAutoencoder: Stage {
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

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  public func workPlan() throws -> WorkPlan<AutoencoderTraining> {
    try intervals.plan { try AutoencoderTraining(settings, context, intervals) }
  }
}

/// Returns renders of scenes, one after another, `[count, side, side, 3]` in -1...1.
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
