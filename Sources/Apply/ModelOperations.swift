import Autograd
import Diffusion
import Files
import NN

extension Operation {
  static func textEncoder(_ part: String) -> Operation {
    Operation(part) { options, inputs in
      let encoder = try options.model.textEncoder(part).model
      let ids = try inputs.tokenIDs(
        "input_ids", limit: encoder.configuration.tokens,
        vocabulary: encoder.configuration.vocabularySize)
      let output = encoder(ids)
      return [
        ("last_hidden_state", output.lastHiddenState),
        ("penultimate_hidden_state", output.penultimateHiddenState), ("pooled", output.pooled),
      ]
    }
  }

  static let unet = Operation("unet") { options, inputs in
    let configuration = try UNetConfiguration(try options.model.configuration("unet"))
    let sample = try inputs.images("sample", channels: configuration.inputChannels)
    try options.requireHalvable(sample, configuration)
    let batch = sample.shape[0]
    let timesteps = try inputs.timesteps(batch: batch).map(Float.init)
    let conditioning = try inputs.conditioning(
      "encoder_hidden_states", batch: batch, for: configuration)
    let adapters = try options.adapters()
    let unet = try options.model.unet(adapters: adapters).model
    try adapters?.requireAllMatched()
    let output = unet(
      sample, timesteps: timesteps, conditioning: conditioning)
    return [("sample", output.channelsFirst())]
  }

  static let encode = Operation("vae.encode") { options, inputs in
    let autoencoder = try options.model.autoencoder().model
    let image = try inputs.images("image", channels: autoencoder.configuration.imageChannels)
    let (height, width) = (image.shape[1], image.shape[2])
    let reduction = autoencoder.configuration.reduction
    guard min(height, width) >= reduction else {
      throw ConfigurationError.misfit(
        path: try options.model.configuration("vae").path,
        reason:
          "images of \(height) x \(width) are too small: latents have 1/\(reduction) of their "
          + "height and width")
    }
    let posterior = autoencoder.encoder(image)
    return [
      ("mean", posterior.mean.channelsFirst()),
      ("logvar", posterior.logVariance.channelsFirst()),
    ]
  }

  static let decode = Operation("vae.decode") { options, inputs in
    let autoencoder = try options.model.autoencoder().model
    let latents = try inputs.images("latents", channels: autoencoder.configuration.latentChannels)
    return [("image", autoencoder.decoder(latents).channelsFirst())]
  }
}

extension OperationOptions {
  /// Checks that latents are large enough for the model's U-Net.
  func requireHalvable(_ latents: Tensor, _ configuration: UNetConfiguration) throws {
    try configuration.requireHalvable(
      height: latents.shape[1], width: latents.shape[2],
      path: try model.configuration("unet").path)
  }
}

extension InputTensors {
  /// A U-Net's conditioning for `batch` images: hidden states of prompts and, where the model is
  /// conditioned on them, `text_embeds` and `time_ids`.
  ///
  /// - Parameters:
  ///   - name: of the hidden states
  ///   - tokens: as many as the hidden states must have; nil where any number will do
  ///   - prefix: of the names of the other tensors
  func conditioning(
    _ name: String, batch: Int, tokens: Int? = nil, for configuration: UNetConfiguration,
    prefix: String = ""
  ) throws -> Conditioning {
    let states = try floats(name, shape: [batch, tokens, configuration.contextWidth])
    guard let textTime = configuration.textTime else { return Conditioning(states) }
    let count = Conditioning.sizeCount
    let sizes = try floats("\(prefix)time_ids", shape: [batch, count]).values
    let width = textTime.inputWidth - count * textTime.featureWidth
    return Conditioning(
      states,
      textTime: .init(
        pooledText: try floats("\(prefix)text_embeds", shape: [batch, width]),
        sizes: (0..<batch).map { Array(sizes[$0 * count..<($0 + 1) * count]) }))
  }
}
