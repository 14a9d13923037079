import Autograd
import Diffusion
import NN
import PreferenceModels
import RandomStreams
import TrainingStages

/// Forward and backward passes of the parts of a model, on random inputs.
enum ModelBench {
  static func unet(_ options: BenchOptions) throws -> BenchWork {
    let (unet, _) = try options.model.unet()
    let inputs = try UNetInputs(unet.configuration, options)
    return inputs.benchWork {
      withoutGradients { ["output": inputs.predict(with: unet)] }
    }
  }

  /// A forward pass, and a backward pass to every matrix of a LoRA on the attention projections.
  static func unetLoRA(_ options: BenchOptions) throws -> BenchWork {
    let rank = options.rank ?? 4
    let adapters = TunedUNet.freshAdapters(rank: rank, seed: 1)
    let (unet, _) = try options.model.unet(adapters: adapters)
    let inputs = try UNetInputs(unet.configuration, options)
    // Fresh up matrices are 0, and so would be half of the gradients.
    for (number, adapter) in adapters.all.enumerated() {
      let values = normal(adapter.up.storedShape, seed: UInt64(100 + number))
      adapter.up.assign(withoutGradients { values.scaled(by: 0.02) }.values)
    }
    let names = adapters.parameters.map(\.name)
    let leaves = adapters.parameters.map(\.tensor)
    var work = inputs.benchWork {
      let output = inputs.predict(with: unet)
      let scale = 2 / Float(output.count)  // of the mean of squares
      let found = gradients(
        of: output, for: leaves,
        outputGradient: withoutGradients { output.scaled(by: scale, adding: 0) })
      return Dictionary(
        zip(names, found).map { ("grad.\($0)", $1 ?? Tensor(0)) }, uniquingKeysWith: { $1 })
    }
    for (name, leaf) in zip(names, leaves) { work.inputs["adapter.\(name)"] = leaf }
    return work
  }

  static func decode(_ options: BenchOptions) throws -> BenchWork {
    let (autoencoder, _) = try options.model.autoencoder()
    let configuration = autoencoder.configuration
    let side = try options.latentSide()
    let (width, height) = options.size ?? (side, side)
    let batch = options.batch ?? 1
    let latents = normal([batch, height, width, configuration.latentChannels], seed: 1)
    return BenchWork(
      size: "\(width)x\(height)", batch: batch, items: batch, inputs: ["x": latents]
    ) {
      withoutGradients { ["output": autoencoder.decoder(latents)] }
    }
  }

  static func encode(_ options: BenchOptions) throws -> BenchWork {
    let (autoencoder, _) = try options.model.autoencoder()
    let configuration = autoencoder.configuration
    let side = try options.latentSide() * configuration.reduction
    let (width, height) = options.size ?? (side, side)
    let batch = options.batch ?? 1
    let image = normal([batch, height, width, configuration.imageChannels], seed: 1)
    return BenchWork(
      size: "\(width)x\(height)", batch: batch, items: batch, inputs: ["x": image]
    ) {
      withoutGradients { ["output": autoencoder.encoder(image).mean] }
    }
  }

  static func textEncoder(_ options: BenchOptions) throws -> BenchWork {
    let (encoder, _) = try options.model.textEncoder()
    let ids = tokenIDs(for: encoder.configuration, batch: options.batch ?? 4)
    return BenchWork(batch: ids.count, items: ids.count, inputs: ["ids": tensor(ids)]) {
      withoutGradients { ["output": encoder(ids).lastHiddenState] }
    }
  }

  /// Scores images for prompts.
  static func preference(_ options: BenchOptions) throws -> BenchWork {
    let model = try preferenceModel(options, latentSide: try options.latentSide())
    let batch = options.batch ?? 4
    let side = model.configuration.imageSize
    let pixels = normal([batch, side, side, 3], seed: 1)
    let ids = tokenIDs(for: model.configuration.text, batch: batch)
    let timesteps = spread(batch)
    let inputs = [
      "pixels": pixels, "ids": tensor(ids), "timesteps": Tensor(timesteps, shape: [batch]),
    ]
    return BenchWork(batch: batch, items: batch, inputs: inputs) {
      try withoutGradients {
        let score = model.imageScorer.score(
          image: model.imageScorer.embedding(of: pixels, timesteps: timesteps),
          text: try model.prompts(ids))
        return ["output": score]
      }
    }
  }

  /// Scores latents by a latent preference model initialized from the diffusion model, with
  /// guidance as published, and backpropagates to all of its weights.
  static func latentPreference(_ options: BenchOptions) throws -> BenchWork {
    var model = try options.model.startingLatentPreferenceModel(
      textProjection: nil, guidance: 7.5, seed: 1)
    model.usesGradientCheckpointing = options.usesGradientCheckpointing
    let configuration = try UNetConfiguration(try options.model.configuration("unet"))
    let side = configuration.sampleSize
    let (width, height) = options.size ?? (side, side)
    let batch = options.batch ?? 2
    let latents = normal([batch, height, width, configuration.inputChannels], seed: 1)
    let timesteps = spread(batch)
    let texts = (0..<batch).map { "a picture of \($0) things" }
    return BenchWork(
      size: "\(width)x\(height)", batch: batch, items: batch,
      inputs: ["x": latents, "timesteps": Tensor(timesteps, shape: [batch])]
    ) {
      let prompts = try model.prompts(texts)
      let scores = model.scores(of: latents, timesteps: timesteps, for: prompts)
      let found = gradients(of: scores.sum(), for: model.parameters.map(\.tensor))
      return Dictionary(
        zip(model.parameters, found).map { ("grad.\($0.name)", $1 ?? Tensor(0)) },
        uniquingKeysWith: { $1 }
      ).merging(["output": scores.detached]) { $1 }
    }
  }

  static func normal(_ shape: [Int], seed: UInt64) -> Tensor {
    var random = RandomStream(seed: seed, purpose: "bench")
    let values = random.normals(count: shape.reduce(1, *))
    return Tensor(values, shape: shape)
  }

  private static func tensor(_ ids: [[Int]]) -> Tensor {
    Tensor(ids.flatMap { $0.map(Float.init) }, shape: [ids.count, ids[0].count])
  }

  /// Returns timesteps from 1 to 951.
  fileprivate static func spread(_ batch: Int) -> [Float] {
    (0..<batch).map { Float(1 + 950 * $0 / max(1, batch - 1)) }
  }

  static func tokenIDs(
    for configuration: CLIPTextConfiguration, batch: Int
  ) -> [[Int]] {
    var random = RandomStream(seed: 1, purpose: "bench tokens")
    let end = configuration.vocabularySize - 1
    return (0..<batch).map { _ in
      (1..<configuration.tokens).map { _ in random.integer(below: max(1, end)) } + [end]
    }
  }
}

extension BenchOptions {
  /// Returns the side of the latents that the model's U-Net was trained on.
  func latentSide() throws -> Int {
    try UNetConfiguration(try model.configuration("unet")).sampleSize
  }
}

/// Random latents and prompt hidden states as inputs of a U-Net.
private struct UNetInputs {
  let sample: Tensor
  let timesteps: [Float]
  let conditioning: Conditioning

  init(_ configuration: UNetConfiguration, _ options: BenchOptions) throws {
    let side = configuration.sampleSize
    let (width, height) = options.size ?? (side, side)
    let batch = options.batch ?? 2
    let tokens = try CLIPTextConfiguration(try options.model.configuration("text_encoder")).tokens
    sample = ModelBench.normal([batch, height, width, configuration.inputChannels], seed: 1)
    timesteps = ModelBench.spread(batch)
    let sizes = Conditioning.sizes(ofWholePicture: 8 * height, 8 * width)
    let pooledText = configuration.textTime.map { textTime in
      let pooled = textTime.inputWidth - sizes.count * textTime.featureWidth
      return ModelBench.normal([batch, pooled], seed: 3)
    }
    conditioning = Conditioning(
      ModelBench.normal([batch, tokens, configuration.contextWidth], seed: 2),
      pooledText: pooledText, sizes: sizes)
  }

  func predict(with unet: UNet) -> Tensor {
    unet(sample, timesteps: timesteps, conditioning: conditioning)
  }

  private var height: Int { sample.shape[1] }
  private var width: Int { sample.shape[2] }
  private var batch: Int { sample.shape[0] }

  func benchWork(run: @escaping () throws -> [String: Tensor]) -> BenchWork {
    var inputs = [
      "sample": sample, "timesteps": Tensor(timesteps, shape: [batch]),
      "hidden_states": conditioning.hiddenStates,
    ]
    if let textTime = conditioning.textTime {
      inputs["pooled_text"] = textTime.pooledText
      inputs["sizes"] = Tensor(
        textTime.sizes.flatMap { $0 }, shape: [batch, Conditioning.sizeCount])
    }
    return BenchWork(
      size: "\(width)x\(height)", batch: batch, items: batch, inputs: inputs, run: run)
  }
}
