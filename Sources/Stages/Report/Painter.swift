import Autograd
import Diffusion
import Imaging
import NN
import TensorCore

/// Draws prompts with and without what was learned, from the same noise.
struct Painter {
  let pipeline: TextToImage
  let scheduler: DDIMScheduler
  let negative: Conditioning
  private let tuned: UNet
  private let settings: ReportSettings

  init(_ settings: ReportSettings, loraPath: String) throws {
    let adapters = AdapterSet()
    try LoRAFile(path: loraPath).addUNetAdapters(to: adapters)
    try self.init(settings, adapters)
  }

  /// - Parameter adapters: what was learned
  init(_ settings: ReportSettings, _ adapters: AdapterSet) throws {
    let model = settings.base
    // Both are built on the same arrays; the tuned one adds the adapters.
    let (unet, weights) = try model.unet()
    tuned = try UNet(weights.adapted(by: adapters), unet.configuration)
    try adapters.requireAllMatched()
    pipeline = try TextToImage(model, unet: unet)
    scheduler = try DDIMScheduler(model.pipelineSchedulerConfig())
    negative = try pipeline.negativeConditioning()
    self.settings = settings
  }

  /// The pictures before, then those after.
  ///
  /// - Parameter number: the prompt's, which keys its noises
  func pictures(of prompt: String, number: Int) throws -> [RGBImage] {
    let conditioning = try pipeline.conditioning(of: [prompt])
    return try [pipeline.unet, tuned].flatMap {
      try images(try pictures(by: $0, of: conditioning, number: number))
    }
  }

  /// Decoded pictures `[pictures, height, width, 3]` before, and those after.
  func decodedPictures(of conditioning: Conditioning) throws -> [Tensor] {
    try [pipeline.unet, tuned].map { try pictures(by: $0, of: conditioning, number: 0) }
  }

  private func pictures(
    by unet: UNet, of conditioning: Conditioning, number: Int
  ) throws -> Tensor {
    let count = settings.picturesPerPrompt
    let sampler = LatentSampler(
      unet: GuidedUNet(unet, guidance: settings.guidance), scheduler: scheduler,
      stepCount: settings.samplingSteps, eta: settings.eta)
    let latents = try sampler(
      conditioning: conditioning.repeated(count), negative: negative,
      streams: (0..<count).map {
        RandomStream(
          seed: settings.seed, purpose: "report.picture", item: UInt64(number), UInt64($0))
      }, latentShape: latentShape)
    return try pipeline.autoencoder.pictures(of: latents)
  }

  /// Height, width and channels of a latent of the model's own size.
  var latentShape: [Int] {
    let configuration = pipeline.unet.configuration
    return [configuration.sampleSize, configuration.sampleSize, configuration.inputChannels]
  }
}
