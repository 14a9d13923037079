import Autograd
import Diffusion
import Imaging
import NN
import StageSupport
import TensorCore

/// Draws prompts with and without what was learned, from the same noise.
struct Painter {
  let pipeline: TextToImage
  let scheduler: DDIMScheduler
  let negative: Conditioning
  /// Without a LoRA, then with each.
  private let unets: [UNet]
  private let settings: ReportSettings

  init(_ settings: ReportSettings, loraPaths: [String]) throws {
    try self.init(
      settings,
      try loraPaths.map { path in
        let adapters = AdapterSet()
        try LoRAFile(path: path).addUNetAdapters(to: adapters)
        return adapters
      })
  }

  /// - Parameter adapters: what was learned, for each LoRA
  init(_ settings: ReportSettings, _ adapters: [AdapterSet]) throws {
    let model = settings.base
    // All are built on the same arrays; the tuned ones add their adapters.
    let (unet, weights) = try model.unet()
    unets =
      try [unet]
      + adapters.map { adapters in
        let tuned = try UNet(weights.adapted(by: adapters), unet.configuration)
        try adapters.requireAllMatched()
        return tuned
      }
    pipeline = try TextToImage(model, unet: unet)
    scheduler = try DDIMScheduler(model.pipelineSchedulerConfig())
    negative = try pipeline.negativeConditioning()
    self.settings = settings
  }

  /// The pictures without a LoRA, then those with each.
  ///
  /// - Parameters:
  ///   - number: the prompt's, which keys its noises
  ///   - guidance: the scale of classifier-free guidance
  func pictures(of prompt: String, number: Int, guidance: Float) throws -> [RGBImage] {
    let conditioning = try pipeline.conditioning(of: [prompt])
    return try unets.flatMap {
      try images(try pictures(by: $0, of: conditioning, number: number, guidance: guidance))
    }
  }

  /// Decoded pictures `[pictures, height, width, 3]` without a LoRA, and those with each.
  func decodedPictures(of conditioning: Conditioning, guidance: Float) throws -> [Tensor] {
    try unets.map { try pictures(by: $0, of: conditioning, number: 0, guidance: guidance) }
  }

  private func pictures(
    by unet: UNet, of conditioning: Conditioning, number: Int, guidance: Float
  ) throws -> Tensor {
    let count = settings.picturesPerPrompt
    let sampler = LatentSampler(
      unet: GuidedUNet(unet, guidance: guidance), scheduler: scheduler,
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
