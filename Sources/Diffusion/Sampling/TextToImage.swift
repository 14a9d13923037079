public import Autograd
public import NN
public import RandomStreams

/// The parts of a model folder that turn a prompt into an image.
///
/// The same image as diffusers' `StableDiffusionPipeline` or, of a model with two text encoders,
/// `StableDiffusionXLPipeline` gives, for the same noise.
public struct TextToImage {
  public struct Request {
    public var prompt: String
    /// Nil: the empty one, or zeros where the model's folder says so.
    public var negativePrompt: String?
    public var steps = 20
    public var guidance: Float = 7.5
    public var eta: Float = 0
    /// Height and width in pixels; those of the model's own size if nil.
    public var size: (height: Int, width: Int)?
    /// Whether the autoencoder makes large images tile by tile.
    public var usesTiles = false
    /// Overrides the folder's scheduler class.
    public var scheduler: SchedulerKind?

    public init(prompt: String) { self.prompt = prompt }
  }

  public let promptEncoder: PromptEncoder
  public let unet: UNet
  /// What predicts the unconditional half of guidance; nil: the same U-Net.
  let negativeUNet: UNet?
  public let autoencoder: Autoencoder
  let schedulerConfig: SchedulerConfig
  private let configuration: ModelConfiguration

  /// - Parameters:
  ///   - unet: one built with adapters; the folder's own if nil
  ///   - adapters: what the layers of the text encoders add, and those of the U-Net if none is given
  ///   - negativeAdapters: what the layers of the U-Net add where it predicts the unconditional half of guidance; nil:
  ///     the same
  /// - Throws: `AdapterError` if an adapter belongs to no layer
  public init(
    _ folder: ModelFolder, unet: UNet? = nil, adapters: ModelAdapters? = nil,
    negativeAdapters: AdapterSet? = nil
  ) throws {
    // Refuses parts that do not fit each other before any weights are read.
    configuration = try ModelConfiguration(folder)
    promptEncoder = try PromptEncoder(folder, adapters: adapters)
    if let unet {
      (self.unet, negativeUNet) = (unet, nil)
    } else {
      (self.unet, negativeUNet) = try folder.unets(adapters?["unet"], negative: negativeAdapters)
    }
    try adapters?.requireAllMatched()
    autoencoder = try folder.autoencoder().model
    schedulerConfig = try folder.pipelineSchedulerConfig()
  }

  /// Height and width of the images that the model was made for.
  public var ownSize: (height: Int, width: Int) {
    let side = unet.configuration.sampleSize * autoencoder.configuration.reduction
    return (side, side)
  }

  /// The U-Net's conditioning on prompts, one row for each.
  ///
  /// - Parameter size: in pixels; the model's own if nil
  public func conditioning(
    of prompts: [String], size: (height: Int, width: Int)? = nil
  ) throws -> Conditioning {
    let (height, width) = size ?? ownSize
    return Conditioning(try promptEncoder(prompts), height: height, width: width)
  }

  /// What guidance leads away from: one row.
  ///
  /// - Parameter prompt: the empty one, or zeros where the model's folder says so, if nil
  public func negativeConditioning(
    _ prompt: String? = nil, size: (height: Int, width: Int)? = nil
  ) throws -> Conditioning {
    if let prompt { return try conditioning(of: [prompt], size: size) }
    let (height, width) = size ?? ownSize
    return Conditioning(try promptEncoder.empty(), height: height, width: width)
  }

  /// An image `[1, height, width, 3]` in -1...1.
  ///
  /// - Parameter source: draws the first latent and, where eta is not 0, the noise of each step, each
  ///   in the order `[channels, height, width]`
  public func callAsFunction(
    _ request: Request, source: inout some NormalSource
  ) throws -> Tensor {
    try withoutGradients {
      let latents = try sample(request, source: &source)
      var autoencoder = autoencoder
      if request.usesTiles { autoencoder.useTiles() }
      return try Self.image(of: latents, autoencoder, afterSteps: request.steps)
    }
  }

  /// - Parameter count: the steps that the latents come from
  static func image(
    of latents: Tensor, _ autoencoder: Autoencoder, afterSteps count: Int
  ) throws -> Tensor {
    try naming(
      ["after step \(count) of \(count), from latents of up to \(latents.largestMagnitude)"]
    ) {
      try autoencoder.images(of: latents)
    }
  }

  private func sample(_ request: Request, source: inout some NormalSource) throws -> Tensor {
    let size = request.size ?? ownSize
    try configuration.requireMemory(of: request, size)
    let reduction = autoencoder.configuration.reduction
    return try Self.latents(
      request, GuidedUNet(unet, negative: negativeUNet, guidance: request.guidance),
      positive: try conditioning(of: [request.prompt], size: size),
      negative: try negativeConditioning(request.negativePrompt, size: size),
      height: size.height / reduction, width: size.width / reduction, schedulerConfig,
      source: &source)
  }

  /// - Parameters:
  ///   - positive, negative: one row each
  ///   - height, width: of the latents
  static func latents(
    _ request: Request, _ guided: GuidedUNet, positive: Conditioning, negative: Conditioning,
    height: Int, width: Int, _ schedulerConfig: SchedulerConfig, source: inout some NormalSource
  ) throws -> Tensor {
    let unet = guided.unet
    let channels = unet.configuration.inputChannels
    let plan = try SamplingPlan(
      schedulerConfig, kind: request.scheduler, stepCount: request.steps, eta: request.eta)

    func draw() -> Tensor {
      Tensor(
        source.normals(count: channels * height * width), shape: [1, channels, height, width]
      ).channelsLast()
    }
    var latents = draw().scaled(by: plan.initialNoiseScale)
    var sampler = Sampler(plan)
    var number = 0
    while let step = sampler.nextStep {
      number += 1
      func place(_ part: String) -> String {
        let timestep = Int(exactly: step.timestep).map { "\($0)" } ?? "\(step.timestep)"
        return "\(part), step \(number) of \(plan.steps.count) (timestep \(timestep))"
      }
      let input = latents.scaled(by: step.inputScale)
      // Without guidance diffusers runs the prompt alone.
      let output =
        request.guidance > 1
        ? guided(
          input, timesteps: [step.timestep], conditioning: positive, negative: negative)
        : unet(input, timesteps: [step.timestep], conditioning: positive)
      try output.requiringFinite(place("unet"))
      let noise = step.noise.map { _ in draw() }
      latents = advanced(latents, by: &sampler, output: output, noise: noise)
      try latents.requiringFinite(place("scheduler"))
    }
    return latents
  }

  /// The latents after the sampler's next step.
  private static func advanced(
    _ latents: Tensor, by sampler: inout Sampler, output: Tensor, noise: Tensor?
  ) -> Tensor {
    Tensor(shape: latents.shape, on: latents.backend) { sample in
      latents.withValues { _ = sample.update(fromContentsOf: $0) }
      output.withValues { output in
        if let noise {
          noise.withValues { sampler.advance(output: output, noise: $0, sample: sample) }
        } else {
          sampler.advance(output: output, noise: nil, sample: sample)
        }
      }
    }
  }
}

extension ModelFolder {
  /// The U-Net, and the same with other adapters, if any, which shares its weights.
  func unets(
    _ adapters: AdapterSet?, negative: AdapterSet?
  ) throws -> (positive: UNet, negative: UNet?) {
    let (unet, weights) = try unet(adapters: adapters)
    let other = try negative.map { try UNet(weights.adapted(by: $0), unet.configuration) }
    try negative?.requireAllMatched()
    return (unet, other)
  }
}

extension Tensor {
  fileprivate var largestMagnitude: Float { values.reduce(0) { max($0, abs($1)) } }
}
