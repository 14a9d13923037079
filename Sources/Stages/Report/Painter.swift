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
    let model = settings.base
    let adapters = AdapterSet()
    try LoRAFile(path: loraPath).addUNetAdapters(to: adapters)
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
    let count = settings.picturesPerPrompt
    let conditioning = try pipeline.conditioning(of: [prompt]).repeated(count)
    return try [pipeline.unet, tuned].flatMap { unet in
      let sampler = LatentSampler(
        unet: GuidedUNet(unet, guidance: settings.guidance), scheduler: scheduler,
        stepCount: settings.samplingSteps, eta: settings.eta)
      let latents = try sampler(
        conditioning: conditioning, negative: negative,
        streams: (0..<count).map {
          RandomStream(
            seed: settings.seed, purpose: "report.picture", item: UInt64(number), UInt64($0))
        }, latentShape: latentShape)
      return try images(try pipeline.autoencoder.pictures(of: latents))
    }
  }

  /// Height, width and channels of a latent of the model's own size.
  var latentShape: [Int] {
    let configuration = pipeline.unet.configuration
    return [configuration.sampleSize, configuration.sampleSize, configuration.inputChannels]
  }
}
