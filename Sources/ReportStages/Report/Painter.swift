import Autograd
import Diffusion
import Evaluation
import Imaging
import NN
import RandomStreams
import StageSupport

/// Generates images of prompts with and without the LoRAs, from the same noise.
struct Painter {
  let pipeline: TextToImage
  let scheduler: DDIMScheduler
  let negative: Conditioning
  /// The model without a LoRA, then with each.
  private let models: [Model]
  private let settings: ReportSettings

  private struct Model {
    let unet: UNet
    /// The network for the unconditional half of guidance; nil: the same.
    let negative: UNet?
  }

  /// The adapters of a tuned model, and those for the unconditional half of guidance; nil: the
  /// same.
  typealias Adapters = (own: AdapterSet, negative: AdapterSet?)

  init(_ settings: ReportSettings, loraPaths: [String]) throws {
    try self.init(
      settings,
      try loraPaths.map { path in
        let adapters = AdapterSet()
        try LoRAFile(path: path).addUNetAdapters(to: adapters)
        let tuned = EvaluatedModel(
          settings.base, loraPaths: [path],
          negativeLoRAs: settings.negativeLora.map { [NegativeLoRA($0)] } ?? [])
        return (adapters, try tuned.negativeAdapters())
      })
  }

  /// - Parameter adapters: the adapters of each LoRA
  init(_ settings: ReportSettings, _ adapters: [Adapters]) throws {
    let model = settings.base
    // All share the same arrays; the tuned ones add their adapters.
    let (unet, weights) = try model.unet()
    func tuned(by adapters: AdapterSet) throws -> UNet {
      let tuned = try UNet(weights.adapted(by: adapters), unet.configuration)
      try adapters.requireAllMatched()
      return tuned
    }
    models =
      try [Model(unet: unet, negative: nil)]
      + adapters.map {
        Model(unet: try tuned(by: $0.own), negative: try $0.negative.map { try tuned(by: $0) })
      }
    pipeline = try TextToImage(model, unet: unet)
    scheduler = try DDIMScheduler(model.pipelineSchedulerConfig())
    negative = try pipeline.negativeConditioning()
    self.settings = settings
  }

  /// Returns the images without a LoRA, then those with each.
  ///
  /// - Parameters:
  ///   - number: the prompt's index, which keys its noises
  ///   - guidance: the scale of classifier-free guidance
  func images(of prompt: String, number: Int, guidance: Float) throws -> [RGBImage] {
    let conditioning = try pipeline.conditioning(of: [prompt])
    return try models.flatMap {
      try rgbImages(try images(by: $0, of: conditioning, number: number, guidance: guidance))
    }
  }

  /// Returns decoded images `[images, height, width, 3]` without a LoRA, and those with each.
  func decodedImages(of conditioning: Conditioning, guidance: Float) throws -> [Tensor] {
    try models.map { try images(by: $0, of: conditioning, number: 0, guidance: guidance) }
  }

  private func images(
    by model: Model, of conditioning: Conditioning, number: Int, guidance: Float
  ) throws -> Tensor {
    let count = settings.picturesPerPrompt
    let sampler = LatentSampler(
      unet: GuidedUNet(model.unet, negative: model.negative, guidance: guidance),
      scheduler: scheduler,
      stepCount: settings.samplingSteps, eta: settings.eta)
    let latents = try sampler(
      conditioning: conditioning.repeated(count), negative: negative,
      streams: (0..<count).map {
        RandomStream(
          seed: settings.seed, purpose: "report.picture", item: UInt64(number), UInt64($0))
      }, latentShape: latentShape)
    return try pipeline.autoencoder.images(of: latents)
  }

  /// The height, width and channels of a latent at the model's own size.
  var latentShape: [Int] {
    let configuration = pipeline.unet.configuration
    return [configuration.sampleSize, configuration.sampleSize, configuration.inputChannels]
  }
}
