import Files

/// The configurations of all parts of a diffusion model, checked against each other.
///
/// Each number is within its range; no weights are read. Opening a whole model always begins here,
/// so that parts of different models, and models for other purposes, are rejected by file and key
/// before any work.
public struct ModelConfiguration: Sendable {
  public let unet: UNetConfiguration
  public let autoencoder: AutoencoderConfiguration
  public let prompts: PromptEncoderConfiguration
  public let scheduler: SchedulerConfig
  let unetPath: String

  /// - Throws: `ConfigurationError`, `SchedulerError`, `TokenizerError`, and errors from reading
  ///   the files
  public init(_ folder: ModelFolder) throws {
    let unetFile = try folder.configuration("unet")
    let autoencoderFile = try folder.configuration("vae")
    unet = try UNetConfiguration(unetFile)
    autoencoder = try AutoencoderConfiguration(autoencoderFile)
    unetPath = unetFile.path
    scheduler = try folder.schedulerConfig()
    prompts = try PromptEncoderConfiguration(folder)
    try requireChannels(autoencoderPath: autoencoderFile.path)
    try requireReplaceable(folder, autoencoderFile.path)
    try scheduler.requireKnownProcess()
    try prompts.requireFit(unet, path: unetPath)
    try requireFeasible(imageSide: imageSide)
  }

  /// The height and width in pixels of the images that the model was trained for.
  public var imageSide: Int { unet.sampleSize * autoencoder.reduction }

  /// Requires images with three channels, and latents with as many as the U-Net's input and output.
  private func requireChannels(autoencoderPath: String) throws {
    for (field, channels) in [
      ("in_channels", autoencoder.imageChannels), ("out_channels", autoencoder.outputChannels),
    ] where channels != 3 {
      throw ConfigurationError.misfit(
        path: autoencoderPath, reason: "\(field) is \(channels), but images have 3 channels")
    }
    let latents = autoencoder.latentChannels
    guard unet.inputChannels != latents || unet.outputChannels != latents else { return }
    // A U-Net with equal input and output channels is consistent in itself.
    guard unet.inputChannels != unet.outputChannels else {
      throw ConfigurationError.misfit(
        path: autoencoderPath,
        reason: "latent_channels is \(latents), but \(unetPath): in_channels and out_channels are "
          + "\(unet.inputChannels); are they parts of one model?")
    }
    let (field, channels) =
      unet.inputChannels != latents
      ? ("in_channels", unet.inputChannels) : ("out_channels", unet.outputChannels)
    throw ConfigurationError.misfit(
      path: unetPath,
      reason: "\(field) is \(channels), but the autoencoder's latents have \(latents) "
        + "(\(autoencoderPath): latent_channels); "
        + (unet.outputChannels == latents && unet.inputChannels > latents
          ? "inpainting and editing models cannot be tuned" : "are they parts of one model?"))
  }

  /// Requires a replacement autoencoder whose latents mean the same as the original's: the U-Net
  /// knows no others.
  private func requireReplaceable(_ folder: ModelFolder, _ path: String) throws {
    // A single file that lacks one is of a family whose factor is known.
    guard folder.autoencoderPath != nil, folder.isFile || folder.hasOwnAutoencoder else { return }
    let file = try folder.replacedAutoencoder()
    let own = try AutoencoderConfiguration(file)
    var fields = [
      ("scaling_factor", "\(autoencoder.scalingFactor)", "\(own.scalingFactor)")
    ]
    if folder.hasOwnAutoencoder {
      fields.append(
        ("block_out_channels", "of \(autoencoder.channels.count)", "of \(own.channels.count)"))
    }
    for (field, given, replaced) in fields where given != replaced {
      throw ConfigurationError.misfit(
        path: path,
        reason:
          "\(field) is \(given), but \(replaced) in the model's own (\(file.path)); is the VAE of "
          + "another family of models?")
    }
  }

  /// Checks that the cost of a pass over images can be counted.
  ///
  /// - Parameter side: the height and width of the images in pixels
  public func requireFeasible(imageSide side: Int) throws {
    let latentSide = side / autoencoder.reduction
    try unet.requireHalvable(height: latentSide, width: latentSide, path: unetPath)
    guard ConfigurationRange.side.contains(side), latentSide > 0,
      FeasibleSize.holds(unet, side: latentSide),
      FeasibleSize.holds(autoencoder, side: side, latentSide: latentSide)
    else {
      throw ConfigurationError.tooLarge(
        path: unetPath,
        reason: "sample_size \(unet.sampleSize) and block_out_channels \(unet.channels) ask for "
          + "images of \(side) x \(side) pixels and more memory than can be counted")
    }
  }
}
