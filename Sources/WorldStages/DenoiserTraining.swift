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

/// The work of stage `denoiser`: training steps.
public final class DenoiserTraining: StageWork {
  private let settings: TrainDenoiser.Settings
  private let context: StageContext
  private let intervals: CheckpointIntervals
  private let autoencoder: ModelFolder
  private let outputFolder: String
  private let unet: UNet
  private let textEncoder: CLIPTextEncoder
  private var state: TrainingState
  private let log: TrainingLog
  /// `[images, 16, 16, 4]`, scaled.
  private let latents: Tensor
  /// Token ids of the scenes; image i shows scene i modulo their number.
  private let ids: [[Int]]
  private let emptyIDs: [Int]
  private let schedule: NoiseSchedule

  /// Resumes from the newest checkpoint, if there is one.
  init(
    _ settings: TrainDenoiser.Settings, _ context: StageContext, _ intervals: CheckpointIntervals
  ) throws {
    (self.settings, self.context, self.intervals) = (settings, context, intervals)
    autoencoder = ModelFolder(path: context.workspace.path(TrainAutoencoder.name))
    outputFolder = context.output("model")
    // The tokenizer first: prompts are read with the files that the model will have.
    let tokenizerFiles = TinyTokenizer()
    try Folders.make("\(outputFolder)/tokenizer")
    for (name, contents) in tokenizerFiles.files {
      try AtomicFile.replace("\(outputFolder)/tokenizer/\(name)", with: Array(contents.utf8))
    }
    try Folders.make("\(outputFolder)/scheduler")
    try writeJSON(TinyModel.scheduler, to: "\(outputFolder)/scheduler/scheduler_config.json")

    let weights = Weights(randomSeed: settings.seed, isTrainable: true)
    unet = try UNet(
      weights["unet"], UNetConfiguration(JSONReader(TinyModel.unet, path: "unet")))
    textEncoder = try CLIPTextEncoder(
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
    log = try intervals.resume(&state)
    self.state = state

    let scenes = SceneSplit.standard.training
    let tokenizer = try Tokenizer(folder: "\(outputFolder)/tokenizer")
    latents = try Self.encodedRenders(of: scenes, settings, autoencoder, context)
    ids = try scenes.map { try tokenizer.encode($0.prompt) }
    emptyIDs = try tokenizer.encode("")
    schedule = try NoiseSchedule(SchedulerConfig(folder: "\(outputFolder)/scheduler"))
  }

  private static func encodedRenders(
    of scenes: [Scene], _ settings: TrainDenoiser.Settings, _ folder: ModelFolder,
    _ context: StageContext
  ) throws -> Tensor {
    let autoencoder = try folder.autoencoder().model
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
    for step in item {
      try context.checkInterruption()
      let loss = loss(step: step)
      let norm = try state.update(minimizing: loss)
      let warmUp = Float(step + 1) / Float(step + 10)
      state.updateAverage(decay: min(settings.averageDecay, warmUp))
      try log.append(
        step: step + 1, .figures([("loss", loss.scalar), ("gradient_norm", norm)]))
      context.progress.advance()
    }
    return item.upperBound
  }

  private func loss(step: Int) -> Tensor {
    var stream = RandomStream(seed: settings.seed, purpose: "denoiser.batch", item: UInt64(step))
    let rows = (0..<settings.batch).map { _ in stream.integer(below: settings.pictures) }
    let timesteps = rows.map { _ in stream.integer(below: schedule.count) }
    let ids = rows.map { row in
      stream.uniform() < settings.emptyPromptShare
        ? emptyIDs : self.ids[row % self.ids.count]
    }
    let latents = self.latents.rows(at: rows)
    let noise = Tensor(shape: latents.shape) { stream.fillNormal($0) }
    let noisy = schedule.noised(latents, with: noise, timesteps: timesteps)
    let predicted = unet(
      noisy, timesteps: timesteps.map { Float($0) },
      conditioning: Conditioning(textEncoder(ids).lastHiddenState))
    return (predicted - noise).mapped(by: .square).mean()
  }

  public func commit(_ step: Int, of item: Range<Int>) throws {
    try intervals.commit(state, step: step, log: log)
  }

  public func finish() throws -> WorkSummary {
    state.adoptAverage()
    for part in ["unet", "text_encoder", "vae"] { try Folders.make("\(outputFolder)/\(part)") }
    try writeJSON(TinyModel.unet, to: "\(outputFolder)/unet/config.json")
    try writeJSON(
      TinyModel.textEncoder(TinyTokenizer()), to: "\(outputFolder)/text_encoder/config.json")
    // Transformers computes in the stored precision, diffusers in single precision.
    for (part, file, type) in [
      ("unet", "diffusion_pytorch_model", ElementType.f16), ("text_encoder", "model", .f32),
    ] {
      try writeModel(
        state.parameters.filter { $0.name.hasPrefix(part + ".") },
        dropping: part + ".", type: type, to: "\(outputFolder)/\(part)/\(file).safetensors")
    }
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
      let bytes = try RegularFile(path: "\(autoencoder.path)/vae/\(name)").readAll()
      try AtomicFile.replace("\(outputFolder)/vae/\(name)", with: bytes)
    }
    try writeJSON(TinyModel.index, to: "\(outputFolder)/model_index.json")
    return WorkSummary()
  }
}
