import Autograd
import Diffusion
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
    let batch = sample.shape[0]
    let timesteps = try inputs.timesteps(batch: batch).map(Float.init)
    let context = try inputs.floats(
      "encoder_hidden_states", shape: [batch, nil, configuration.contextWidth])
    let textTime = try configuration.textTime.map { textTime in
      let sizes = try inputs.floats("time_ids", shape: [batch, nil]).values
      let count = sizes.count / batch
      return Conditioning.TextTime(
        pooledText: try inputs.floats(
          "text_embeds", shape: [batch, textTime.inputWidth - count * textTime.featureWidth]),
        sizes: (0..<batch).map { Array(sizes[$0 * count..<($0 + 1) * count]) })
    }
    let adapters = try options.adapters()
    let unet = try options.model.unet(adapters: adapters).model
    try adapters?.requireAllMatched()
    let output = unet(
      sample, timesteps: timesteps, conditioning: Conditioning(context, textTime: textTime))
    return [("sample", output.channelsFirst())]
  }

  static let encode = Operation("vae.encode") { options, inputs in
    let autoencoder = try options.model.autoencoder().model
    let image = try inputs.images("image", channels: autoencoder.configuration.imageChannels)
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
