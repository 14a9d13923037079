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

/// Trains the U-Net and the text encoder of the embedded model from nothing, on latents of renders, and
/// writes the whole model.
///
///     loss = |epsilon - unet(sqrt(abar) x0 + sqrt(1 - abar) epsilon, t, prompt)|^2
///
/// What is kept are exponential averages of the weights.
///
/// - Reads: `autoencoder`
/// - Writes: `model`, the folder `model` in the layout of diffusers
/// - Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1; Ho and Salimans 2022, arXiv 2207.12598,
///   for the prompts left out
public final class TrainDenoiser: Stage {
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
  private var training: Training?

  private struct Training {
    let unet: UNet
    let textEncoder: CLIPTextEncoder
    var state: TrainingState
    let log: TrainingLog
    /// `[images, 16, 16, 4]`, scaled.
    let latents: Tensor
    /// Token ids of the scenes; image i shows scene i modulo their number.
    let ids: [[Int]]
    let emptyIDs: [Int]
    let schedule: NoiseSchedule
  }

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    intervals = try CheckpointIntervals(
      context, stage: Self.name, stepCount: settings.steps, interval: settings.checkpointEvery)
  }

  private var outputFolder: String { context.output("model") }
  private var autoencoderFolder: ModelFolder {
    ModelFolder(path: context.workspace.path(TrainAutoencoder.name))
  }

  public func pendingItems() throws -> [Range<Int>] { try intervals.pending() }
  public func finishedUnitCount() throws -> Int { try intervals.finishedSteps() }
  public func unitCount(of item: Range<Int>) -> Int { item.count }

  public func prepare() throws {
    // The tokenizer first: the prompts are read with the files that the model will have.
    let tokenizerFiles = TinyTokenizer()
    try Folders.make("\(outputFolder)/tokenizer")
    for (name, contents) in tokenizerFiles.files {
      try AtomicFile.replace("\(outputFolder)/tokenizer/\(name)", with: Array(contents.utf8))
    }
    try Folders.make("\(outputFolder)/scheduler")
    try writeJSON(TinyModel.scheduler, to: "\(outputFolder)/scheduler/scheduler_config.json")

    let weights = Weights(randomSeed: settings.seed, isTrainable: true)
    let unet = try UNet(
      weights["unet"], UNetConfiguration(JSONReader(TinyModel.unet, path: "unet")))
    let textEncoder = try CLIPTextEncoder(
      weights["text_encoder"],
      CLIPTextConfiguration(
        JSONReader(TinyModel.textEncoder(tokenizerFiles), path: "text_encoder")),
      hasProjection: false)
    var state = try TrainingState(
      weights.parameters, optimizer: .init(beta1: 0.9, beta2: 0.99, weightDecay: 1e-3),
      schedule: .init(
        peak: settings.learningRate, warmUpSteps: 100, decay: .cosine, steps: settings.steps,
        finalShare: 0.02),
      keepsAverage: true)
    let log = try intervals.resume(&state)

    let scenes = SceneSplit.standard.training
    let tokenizer = try Tokenizer(folder: "\(outputFolder)/tokenizer")
    training = Training(
      unet: unet, textEncoder: textEncoder, state: state, log: log,
      latents: try encodedRenders(of: scenes),
      ids: try scenes.map { try tokenizer.encode($0.prompt) },
      emptyIDs: try tokenizer.encode(""),
      schedule: try NoiseSchedule(SchedulerConfig(folder: "\(outputFolder)/scheduler")))
  }

  private func encodedRenders(of scenes: [Scene]) throws -> Tensor {
    let autoencoder = try autoencoderFolder.autoencoder().model
    let images = try renderedImages(
      scenes: scenes, count: settings.pictures, seed: settings.seed &+ 1, context)
    context.progress.say("encoding \(settings.pictures) renders")
    return try withoutGradients {
      concatenated(
        try stride(from: 0, to: settings.pictures, by: 32).map { start in
          try context.checkInterruption()
          let end = min(start + 32, settings.pictures)
          return autoencoder.encoder(images.slice(axis: 0, start..<end)).mean
        }, axis: 0
      ).scaled(by: autoencoder.configuration.scalingFactor)
    }
  }

  public func process(_ item: Range<Int>) throws -> Int {
    guard var training else { return 0 }
    for step in item {
      try context.checkInterruption()
      let loss = loss(training, step: step)
      let norm = try training.state.update(minimizing: loss)
      let warmUp = Float(step + 1) / Float(step + 10)
      training.state.updateAverage(decay: min(settings.averageDecay, warmUp))
      try training.log.append(
        step: step + 1, .figures([("loss", loss.scalar), ("gradient_norm", norm)]))
      context.progress.advance()
    }
    self.training = training
    return item.upperBound
  }

  private func loss(_ training: Training, step: Int) -> Tensor {
    var stream = RandomStream(seed: settings.seed, purpose: "denoiser.batch", item: UInt64(step))
    let rows = (0..<settings.batch).map { _ in stream.integer(below: settings.pictures) }
    let timesteps = rows.map { _ in stream.integer(below: training.schedule.count) }
    let ids = rows.map { row in
      stream.uniform() < settings.emptyPromptShare
        ? training.emptyIDs : training.ids[row % training.ids.count]
    }
    let latents = training.latents.rows(at: rows)
    let noise = Tensor(shape: latents.shape) { stream.fillNormal($0) }
    let noisy = training.schedule.noised(latents, with: noise, timesteps: timesteps)
    let predicted = training.unet(
      noisy, timesteps: timesteps.map { Float($0) },
      conditioning: Conditioning(training.textEncoder(ids).lastHiddenState))
    return (predicted - noise).mapped(by: .square).mean()
  }

  public func commit(_ step: Int, of item: Range<Int>) throws {
    guard let training else { return }
    try intervals.commit(training.state, step: step, log: training.log)
  }

  public func finish() throws {
    guard let training else { return }
    training.state.adoptAverage()
    for part in ["unet", "text_encoder", "vae"] { try Folders.make("\(outputFolder)/\(part)") }
    try writeJSON(TinyModel.unet, to: "\(outputFolder)/unet/config.json")
    try writeJSON(
      TinyModel.textEncoder(TinyTokenizer()), to: "\(outputFolder)/text_encoder/config.json")
    // Transformers computes in the precision that it finds, diffusers in single precision.
    for (part, file, type) in [
      ("unet", "diffusion_pytorch_model", ElementType.f16), ("text_encoder", "model", .f32),
    ] {
      try writeModel(
        training.state.parameters.filter { $0.name.hasPrefix(part + ".") },
        dropping: part + ".", type: type, to: "\(outputFolder)/\(part)/\(file).safetensors")
    }
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
      let bytes = try RegularFile(path: "\(autoencoderFolder.path)/vae/\(name)").readAll()
      try AtomicFile.replace("\(outputFolder)/vae/\(name)", with: bytes)
    }
    try writeJSON(TinyModel.index, to: "\(outputFolder)/model_index.json")
  }

  public func results() -> [String] { ["the model is in \(outputFolder)"] }
}
