public import Autograd
import Files
import HostResources
public import NN
public import RandomStreams

extension TextToImage {
  /// Generates an image from each source of noise, with one part of the model in memory at a time:
  /// first its text encoders, then its U-Net, then its autoencoder.
  ///
  /// - Parameters:
  ///   - adapters: adapters of the text encoders and of the U-Net
  ///   - negativeAdapters: adapters of the U-Net for the unconditional half of guidance; nil: the
  ///     same
  ///   - use: called with the index of the source and its image `[1, height, width, 3]` in -1...1
  public static func draw(
    _ request: Request, of folder: ModelFolder, adapters: ModelAdapters? = nil,
    negativeAdapters: AdapterSet? = nil, from sources: [some NormalSource],
    _ use: (Int, Tensor) throws -> Void
  ) throws {
    let configuration = try ModelConfiguration(folder)
    let reduction = configuration.autoencoder.reduction
    let own = configuration.imageSide
    let size = request.size ?? (height: own, width: own)
    try configuration.requireFeasible(request, size)
    let schedulerConfig = try folder.pipelineSchedulerConfig()

    let (positive, negative) = try conditionings(request, of: folder, adapters, size)
    BufferPool.shared.releaseFreeBlocks()
    let latents = try withoutGradients {
      let (unet, negativeUNet) = try folder.unets(
        adapters?["unet"], negative: negativeAdapters)
      try adapters?.requireAllMatched()
      let guided = GuidedUNet(unet, negative: negativeUNet, guidance: request.guidance)
      return try sources.map { source in
        var source = source
        return try Self.latents(
          request, guided, positive: positive, negative: negative, height: size.height / reduction,
          width: size.width / reduction, schedulerConfig, source: &source)
      }
    }
    BufferPool.shared.releaseFreeBlocks()
    var autoencoder = try folder.autoencoder().model
    if request.usesTiles { autoencoder.useTiles() }
    for (place, latent) in latents.enumerated() {
      try use(place, try image(of: latent, autoencoder, afterSteps: request.steps))
    }
  }

  private static func conditionings(
    _ request: Request, of folder: ModelFolder, _ adapters: ModelAdapters?,
    _ size: (height: Int, width: Int)
  ) throws -> (positive: Conditioning, negative: Conditioning) {
    let encoder = try PromptEncoder(folder, adapters: adapters)
    func conditioning(_ output: PromptEncoder.Output) -> Conditioning {
      Conditioning(output, height: size.height, width: size.width)
    }
    return (
      conditioning(try encoder([request.prompt])),
      conditioning(try request.negativePrompt.map { try encoder([$0]) } ?? encoder.empty())
    )
  }
}
