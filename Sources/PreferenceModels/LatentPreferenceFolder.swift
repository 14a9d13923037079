import Checkpoints
public import Diffusion
import Files
import NN

extension ModelFolder {
  /// Whether the folder contains a latent preference model, which has a U-Net, rather than a pixel
  /// model.
  public var isLatentPreferenceModel: Bool { hasPart("unet") }

  /// Opens the latent preference model of a folder.
  ///
  /// The U-Net and the text encoders are in the layout of diffusers, the heads in
  /// `model.safetensors` or, as published, in `state_dict.pt`.
  ///
  /// - Parameter base: the diffusion model whose latents are scored; provides the tokenizers, and
  ///   text encoders that were not trained
  public func latentPreferenceModel(
    of base: ModelFolder, isTrainable: Bool = false
  ) throws -> LatentPreferenceModel {
    try requireFit(base)
    let heads = try latentHeads(isTrainable: isTrainable)
    let model = try LatentPreferenceModel(
      heads: heads, encoder: try unetEncoder(isTrainable: isTrainable),
      promptEncoder: try PromptEncoder(
        hasPart("text_encoder") ? self : base, tokenizers: base, isTrainable: isTrainable),
      imageSide: try base.imageSide(),
      guidance: try latentPreferenceGuidance())
    try heads.requireAllUsed()
    return model
  }

  /// Checks that the configurations belong to a model for the latents and prompts of `base`.
  private func requireFit(_ base: ModelFolder) throws {
    let file = try configuration("unet")
    let unet = try UNetConfiguration(file)
    let latents = try AutoencoderConfiguration(try base.configuration("vae")).latentChannels
    guard unet.inputChannels == latents else {
      throw ConfigurationError.misfit(
        path: file.path,
        reason: "in_channels is \(unet.inputChannels), but the latents of \(base.path) have "
          + "\(latents); a latent preference model judges those of its own diffusion model")
    }
    let texts = hasPart("text_encoder") ? self : base
    let prompts = try PromptEncoderConfiguration(texts, tokenizers: base)
    try prompts.requireFit(unet, path: file.path)
    for part in prompts.parts {
      try part.configuration.requireFit(
        part.tokenizer, "\(base.path)/\(part.tokenizerFolder)",
        path: try texts.configuration(part.encoderFolder).path, readsEnd: true)
    }
  }

  private func latentHeads(isTrainable: Bool) throws -> Weights {
    if let planned = plannedWeights(isTrainable: isTrainable) { return planned }
    return hasPart(PublishedHeads.fileName)
      ? Weights(
        try PublishedHeads(path: "\(path)/\(PublishedHeads.fileName)"), isTrainable: isTrainable)
      : Weights(
        try CheckpointWeights(try checkpoint("", stem: "model")), isTrainable: isTrainable)
  }

  /// The guidance scale of a latent preference model's middle-block features.
  public func latentPreferenceGuidance() throws -> Float {
    guard !hasPart(PublishedHeads.fileName) else { return PublishedHeads.guidance }
    let json = try JSONReader(contentsOf: "\(path)/config.json")
    _ = try json.double(LatentPreferenceModel.guidanceField)
    return try json.number(LatentPreferenceModel.guidanceField, default: 1, in: -1e4...1e4)
  }

  /// Creates a latent preference model initialized from a diffusion model, with new projections.
  ///
  /// - Parameters:
  ///   - textProjection: a CLIP model whose text projection to start from; nil: a random one
  ///   - guidance: the guidance scale of the middle block's features
  public func startingLatentPreferenceModel(
    textProjection: ModelFolder?, guidance: Float, seed: UInt64, isTrainable: Bool = true
  ) throws -> LatentPreferenceModel {
    let heads = Weights(randomSeed: seed)
    let model = try LatentPreferenceModel(
      heads: heads, encoder: try unetEncoder(isTrainable: isTrainable),
      promptEncoder: try PromptEncoder(self, isTrainable: isTrainable),
      imageSide: try imageSide(),
      guidance: guidance)
    if let textProjection { try adoptTextProjection(of: textProjection, heads) }
    return model
  }

  private func adoptTextProjection(of clip: ModelFolder, _ heads: Weights) throws {
    let name = "text_projection.weight"
    // SDXL's second text encoder has its own.
    guard let parameter = heads.parameters.first(where: { $0.name == name }),
      clip.plannedWeights(isTrainable: true) == nil
    else { return }
    let checkpoint = try clip.checkpoint("", stem: "model")
    let found = try checkpoint.entry(name).shape
    guard found == parameter.storedShape else {
      throw WeightError.shapeMismatch(
        path: checkpoint.path, name: name, expected: parameter.storedShape, found: found)
    }
    parameter.assign(try checkpoint.floats(name))
  }

  /// The height and width in pixels of the images that the model was trained for.
  private func imageSide() throws -> Int {
    try UNetConfiguration(try configuration("unet")).sampleSize
      * AutoencoderConfiguration(try configuration("vae")).reduction
  }
}
