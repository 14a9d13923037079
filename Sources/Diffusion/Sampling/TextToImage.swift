public import Autograd
import Files
public import TensorCore

/// The parts of a model folder that turn a prompt into a picture.
///
/// The same picture as diffusers' `StableDiffusionPipeline` gives, for the same noise.
public struct TextToImage {
  public struct Request {
    public var prompt: String
    public var negativePrompt = ""
    public var steps = 20
    public var guidance: Float = 7.5
    public var eta: Float = 0
    /// Height and width in pixels; those of the model's own size if nil.
    public var size: (height: Int, width: Int)?
    /// Overrides the folder's scheduler class.
    public var scheduler: SchedulerKind?

    public init(prompt: String) { self.prompt = prompt }
  }

  public let tokenizer: Tokenizer
  public let textEncoder: CLIPTextEncoder
  public let unet: UNet
  public let autoencoder: Autoencoder
  let schedulerConfig: SchedulerConfig

  /// - Parameter unet: one built with adapters; the folder's own if nil
  public init(_ folder: ModelFolder, unet: UNet? = nil) throws {
    tokenizer = try Tokenizer(folder: "\(folder.path)/tokenizer")
    textEncoder = try folder.textEncoder().model
    self.unet = try unet ?? folder.unet().model
    autoencoder = try folder.autoencoder().model
    schedulerConfig = try SchedulerConfig(folder: "\(folder.path)/scheduler")
      .asInStableDiffusionPipeline()
  }

  /// What the U-Net is told of prompts, one row for each.
  public func conditioning(of prompts: [String]) throws -> Conditioning {
    let ids = try prompts.map { try tokenizer.encode($0) }
    return withoutGradients { Conditioning(textEncoder(ids).lastHiddenState) }
  }

  /// What guidance leads away from: a negative prompt, or nothing in particular.
  public func negativeConditioning(_ prompt: String = "") throws -> Conditioning {
    try conditioning(of: [prompt])
  }

  /// A picture `[1, height, width, 3]` in -1...1.
  ///
  /// - Parameter source: draws the first latent and, where eta is not 0, the noise of each step, each
  ///   in the order `[channels, height, width]`
  public func callAsFunction(
    _ request: Request, source: inout some NormalSource
  ) throws -> Tensor {
    try withoutGradients {
      let latents = try sample(request, source: &source)
      return autoencoder.decoder(
        latents.scaled(by: 1 / autoencoder.configuration.scalingFactor))
    }
  }

  private func sample(_ request: Request, source: inout some NormalSource) throws -> Tensor {
    let reduction = autoencoder.configuration.reduction
    let side = unet.configuration.sampleSize
    let height = request.size.map { $0.height / reduction } ?? side
    let width = request.size.map { $0.width / reduction } ?? side
    let channels = unet.configuration.inputChannels
    let positive = try conditioning(of: [request.prompt])
    let negative = try negativeConditioning(request.negativePrompt)
    let plan = try SamplingPlan(
      schedulerConfig, kind: request.scheduler, stepCount: request.steps, eta: request.eta)
    let guided = GuidedUNet(unet, guidance: request.guidance)

    func draw() -> Tensor {
      Tensor(
        source.normals(count: channels * height * width), shape: [1, channels, height, width]
      ).channelsLast()
    }
    let latents = draw().scaled(by: plan.initialNoiseScale)
    var sampler = Sampler(plan)
    while let step = sampler.nextStep {
      let input = latents.scaled(by: step.inputScale)
      // Without guidance diffusers runs the prompt alone.
      let output =
        request.guidance > 1
        ? guided(input, timesteps: [step.timestep], conditioning: positive, negative: negative)
        : unet(input, timesteps: [step.timestep], conditioning: positive)
      let noise = step.noise.map { _ in draw() }
      sampler.advance(
        output: output.elements, noise: noise?.elements, sample: latents.mutableElements)
    }
    return latents
  }
}
