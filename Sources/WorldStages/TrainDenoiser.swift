import Autograd
import Checkpoints
import Diffusion
import Files
import NN
public import PipelineCore
import ProceduralWorld
import RandomStreams
import StageSupport
import TensorCore
import TrainingStages

/// Trains the U-Net and the text encoder of the embedded model from scratch, on latents of renders,
/// and writes the whole model.
///
///     loss = |epsilon - unet(sqrt(abar) x0 + sqrt(1 - abar) epsilon, t, prompt)|^2
///
/// The result is an exponential moving average of the weights.
///
/// - Reads: `autoencoder`
/// - Writes: `model`, the folder `model` in the layout of diffusers
/// - Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1; Ho and Salimans 2022, arXiv 2207.12598,
///   for the prompts left out
public struct TrainDenoiser: Stage {
  public struct Settings: StageSettings {
    @Setting("Seed of all random streams.")
    public var seed: UInt64 = 42
    @Setting("Training steps.", in: 1...1_000_000)
    public var steps = 3000
    @Setting("Renders to encode once and sample from.", in: 1...1_000_000)
    public var pictures = 4096
    @Setting("Latents per batch.", in: 1...4_096)
    public var batch = 16
    @Setting("Fraction of prompts replaced by the empty one, for guidance.", in: 0...1)
    public var emptyPromptShare = 0.1
    @Setting("Peak learning rate of AdamW.", in: 1e-9...0.1)
    public var learningRate: Float = 1.5e-3
    @Setting("Decay of the exponential moving average of the weights.", in: 0..<1)
    public var averageDecay: Float = 0.998
    @Setting("Steps between checkpoints.", in: 1...1_000_000)
    public var checkpointEvery = 100

    public init() {}
  }

  public static let name = "denoiser"
  public static let version = 1
  public static let unit = "steps"
  public static let usesDevice = true
  public static let settingsWithoutEffect: Set<String> = ["checkpoint_every"]
  public let reads: Set<Artifact> = ["autoencoder"]
  public static let ownPaths = ["denoiser/", "model/"]
  public static let spare = ["denoiser/checkpoints"]
  public static let repairsFiles = true
  public let writes: [Artifact: [String]] = ["model": ["model"]]
  public static let fileNames = ["model/"] + CheckpointIntervals.fileNames(name)

  private let settings: Settings
  private let context: StageContext
  private let intervals: CheckpointIntervals

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  private var outputFolder: String { context.output("model") }

  public func workPlan() throws -> WorkPlan<DenoiserTraining> {
    try intervals.plan { try DenoiserTraining(settings, context, intervals) }
  }

  public func results() -> [String] { ["the model is in \(outputFolder)"] }
}
