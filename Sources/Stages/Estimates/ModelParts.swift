import Checkpoints
import Diffusion
import Files
import NN
import PreferenceModels

/// A diffusion model as its files describe it; its weights stay where they are.
struct ModelParts {
  let folder: ModelFolder
  let unet: UNetConfiguration
  let autoencoder: AutoencoderConfiguration
  /// Height and width of the pictures.
  let pictureSide: Int

  init(_ path: String, _ scale: PipelineScale) throws {
    folder = ModelFolder(path: path)
    unet = try UNetConfiguration(try folder.configuration("unet"))
    autoencoder = try AutoencoderConfiguration(try folder.configuration("vae"))
    pictureSide = scale.pictureSide ?? unet.sampleSize * autoencoder.reduction
  }

  var latentSide: Int { pictureSide / autoencoder.reduction }

  // MARK: - Weights

  func unetSize() throws -> WeightSize {
    WeightSize(of: try folder.checkpoint("unet", stem: "diffusion_pytorch_model"))
  }

  func autoencoderSize() throws -> WeightSize {
    WeightSize(of: try folder.checkpoint("vae", stem: "diffusion_pytorch_model"))
  }

  func textEncoders() throws -> [(configuration: CLIPTextConfiguration, size: WeightSize)] {
    try ["text_encoder", "text_encoder_2"].filter(folder.hasPart).map { part in
      (
        try CLIPTextConfiguration(try folder.configuration(part)),
        WeightSize(of: try folder.checkpoint(part, stem: "model"))
      )
    }
  }

  // MARK: - Passes

  func tokens() throws -> Int { try textEncoders().first?.configuration.tokens ?? 77 }

  func unetMemory(rank: Int = 0) throws -> ForwardMemory {
    unet.forwardMemory(height: latentSide, width: latentSide, tokens: try tokens(), rank: rank)
  }

  /// Numbers of one decoding pass of at most `pictures`.
  func decodingMemory(pictures: Int) -> Int {
    autoencoder.decodingMemory(height: latentSide, width: latentSide).most * together(pictures)
  }

  /// Numbers of one encoding pass of at most `pictures`.
  func encodingMemory(pictures: Int) -> Int {
    autoencoder.encodingMemory(height: pictureSide, width: pictureSide).most * together(pictures)
  }

  private func together(_ pictures: Int) -> Int {
    max(1, min(pictures, Autoencoder.placesAtOnce / (pictureSide * pictureSide)))
  }

  /// The numbers of one latent, and of one picture.
  var latentCount: Int { autoencoder.latentChannels * latentSide * latentSide }
  var pictureCount: Int { 3 * pictureSide * pictureSide }
}

extension PreferenceConfiguration {
  /// All weights of both towers.
  var weightCount: Int { promptWeightCount + pictureWeightCount }

  var promptWeightCount: Int {
    (text.vocabularySize + text.tokens + projectionWidth) * text.transformer.width
      + text.transformer.weightCount(isTimeConditioned: false)
  }

  private var pictureWeightCount: Int {
    let timeWidths = 256 * vision.width + 3 * vision.width * vision.width
    return (3 * patchSize * patchSize + visionTokens + projectionWidth) * vision.width + timeWidths
      + vision.weightCount(isTimeConditioned: true)
  }
}

extension CLIPTransformerConfiguration {
  /// Numbers that go into the layers.
  func layerInputs(tokens: Int) -> Int { (layers + 1) * tokens * width }

  /// Matrices, biases and norms of the layers.
  fileprivate func weightCount(isTimeConditioned: Bool) -> Int {
    let attention = 4 * (width * width + width)
    let feedForward = 2 * width * feedForwardWidth + width + feedForwardWidth
    let modulation = isTimeConditioned ? 6 * (width * width + width) : 0
    return layers * (attention + feedForward + modulation + 4 * width) + 4 * width
  }
}
