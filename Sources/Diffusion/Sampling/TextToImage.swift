public import Autograd
public import NN
public import RandomStreams

/// The parts of a model folder that generate an image from a prompt.
///
/// For the same noise, the image equals that of diffusers' `StableDiffusionPipeline` or, for a
/// model with two text encoders, `StableDiffusionXLPipeline`.
public struct TextToImage {
  public struct Request {
    public var prompt: String
    /// Nil: the empty prompt, or zeros if the model's folder says so.
    public var negativePrompt: String?
    public var steps = 20
    public var guidance: Float = 7.5
    public var eta: Float = 0
    /// The height and width in pixels; nil: the model's own size.
    public var size: (height: Int, width: Int)?
    /// Whether the autoencoder decodes large images tile by tile.
    public var usesTiles = false
    /// Overrides the folder's scheduler class.
    public var scheduler: SchedulerKind?

    public init(prompt: String) { self.prompt = prompt }
  }

  public let promptEncoder: PromptEncoder
  public let unet: UNet
  /// The network for the unconditional half of guidance; nil: the same U-Net.
  let negativeUNet: UNet?
  public let autoencoder: Autoencoder
  let schedulerConfig: SchedulerConfig
  private let configuration: ModelConfiguration

  /// - Parameters:
  ///   - unet: a U-Net built with adapters; nil: the folder's own
  ///   - adapters: adapters of the text encoders, and of the U-Net if none is given
  ///   - negativeAdapters: adapters of the U-Net for the unconditional half of guidance; nil: the
  ///     same
  /// - Throws: `AdapterError` if an adapter belongs to no layer
  public init(
    _ folder: ModelFolder, unet: UNet? = nil, adapters: ModelAdapters? = nil,
    negativeAdapters: AdapterSet? = nil
  ) throws {
    // Rejects incompatible parts before any weights are read.
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

  /// The height and width of the images that the model was trained for.
  public var ownSize: (height: Int, width: Int) {
    let side = unet.configuration.sampleSize * autoencoder.configuration.reduction
    return (side, side)
  }

  /// Returns the U-Net's conditioning on prompts, one row each.
  ///
  /// - Parameter size: the size in pixels; nil: the model's own
  public func conditioning(
    of prompts: [String], size: (height: Int, width: Int)? = nil
  ) throws -> Conditioning {
    let (height, width) = size ?? ownSize
    return Conditioning(try promptEncoder(prompts), height: height, width: width)
  }

  /// Returns the negative conditioning for guidance: one row.
  ///
  /// - Parameter prompt: the negative prompt; nil: the empty one, or zeros if the model's folder
  ///   says so
  public func negativeConditioning(
    _ prompt: String? = nil, size: (height: Int, width: Int)? = nil
  ) throws -> Conditioning {
    if let prompt { return try conditioning(of: [prompt], size: size) }
    let (height, width) = size ?? ownSize
    return Conditioning(try promptEncoder.empty(), height: height, width: width)
  }

  /// Generates an image `[1, height, width, 3]` in -1...1.
  ///
  /// - Parameter source: generates the initial latent and, if eta is not 0, the noise of each step,
  ///   each in the order `[channels, height, width]`
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

  /// - Parameter count: the number of steps that produced the latents
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
    try configuration.requireFeasible(request, size)
    let reduction = autoencoder.configuration.reduction
    return try Self.latents(
      request, GuidedUNet(unet, negative: negativeUNet, guidance: request.guidance),
      positive: try conditioning(of: [request.prompt], size: size),
      negative: try negativeConditioning(request.negativePrompt, size: size),
      height: size.height / reduction, width: size.width / reduction, schedulerConfig,
      source: &source)
  }

  /// - Parameters:
  ///   - positive, negative: the conditioning, one row each
  ///   - height, width: the size of the latents
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
      // Without guidance diffusers evaluates the prompt alone.
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

  /// Returns the latents after the sampler's next step.
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
  /// Returns the U-Net, and the same with other adapters, if any, which shares its weights.
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
