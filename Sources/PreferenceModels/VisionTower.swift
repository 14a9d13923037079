import Autograd
import Diffusion
import NN

/// CLIP's vision tower, conditioned on the timestep of the noise that the image was predicted from;
/// or, for finished images, as published.
///
///     pooled = norm(class token),  result = pooled (1 + scale(t)) + shift(t)
///
/// - Keys: `t_embedder.mlp.{0,2}`, `vision_model.{embeddings, pre_layrnorm, encoder, post_layernorm}`,
///   `vision_model.encoder.layers.N.adaLN_modulation.1`, `vision_model.adaLN_modulation.1`
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2; Peebles and Xie 2023,
///   arXiv 2212.09748, for the modulation
public struct VisionTower {
  /// These and `outputModulation` are nil in a tower without time conditioning.
  let timeFirst: Linear?
  let timeSecond: Linear?
  let classEmbedding: Parameter
  let patchEmbedding: Conv2d
  let positionEmbedding: Parameter
  let inputNorm: LayerNorm
  var encoder: CLIPEncoder
  let outputNorm: LayerNorm
  let outputModulation: Linear?
  let width: Int

  /// Sinusoidal features of a timestep.
  static let timeFeatures = 256

  init(
    _ weights: Weights, _ configuration: PreferenceConfiguration, isTimeConditioned: Bool = true
  ) throws {
    let tower = configuration.vision
    let patches = configuration.imageSize / configuration.patchSize
    width = tower.width
    let small = Initializer.normal(deviation: 0.02)
    let time = weights["t_embedder"]["mlp"]
    timeFirst =
      isTimeConditioned
      ? try Linear(time[0], inputs: Self.timeFeatures, outputs: width, initial: small) : nil
    timeSecond =
      isTimeConditioned
      ? try Linear(time[2], inputs: width, outputs: width, initial: small) : nil
    let model = weights["vision_model"]
    let embeddings = model["embeddings"]
    classEmbedding = try embeddings.parameter(
      "class_embedding", shape: [width],
      initial: .normal(deviation: 1 / Float(width).squareRoot()))
    patchEmbedding = try Conv2d(
      embeddings["patch_embedding"], inputs: 3, outputs: width, kernel: configuration.patchSize,
      stride: configuration.patchSize, padding: .init(0), hasBias: false)
    positionEmbedding = try embeddings["position_embedding"].parameter(
      "weight", shape: [patches * patches + 1, width], initial: small)
    inputNorm = try LayerNorm(model["pre_layrnorm"], width: width, epsilon: tower.epsilon)
    encoder = try CLIPEncoder(model["encoder"], tower, isTimeConditioned: isTimeConditioned)
    outputNorm = try LayerNorm(model["post_layernorm"], width: width, epsilon: tower.epsilon)
    outputModulation =
      isTimeConditioned
      ? try Linear(
        model["adaLN_modulation"][1], inputs: width, outputs: 2 * width, initial: .constant(0))
      : nil
  }

  /// - Parameters:
  ///   - pixels: `[batch, side, side, 3]`, normalised
  ///   - timesteps: one per image; nil for a tower without time conditioning
  /// - Returns: `[batch, width]`
  func callAsFunction(_ pixels: Tensor, timesteps: [Float]?) -> Tensor {
    let batch = pixels.shape[0]
    let time = timesteps.flatMap(timeVectors)

    let patches = patchEmbedding(pixels)  // [batch, rows, columns, width]
    let tokens = patches.reshaped(to: [batch, patches.shape[1] * patches.shape[2], width])
    let classToken = classEmbedding.tensor.reshaped(to: [1, 1, width]).repeated(batch)
    let embedded = concatenated([classToken, tokens], axis: 1) + positionEmbedding.tensor
    let states = encoder.hiddenStates(inputNorm(embedded), isCausal: false, time: time)

    let pooled = outputNorm(states[states.count - 1].slice(axis: 1, 0..<1))
      .reshaped(to: [batch, width])
    guard let time, let outputModulation else { return pooled }
    let parts = outputModulation(time).split(axis: 1, into: 2)  // shift, scale
    return pooled * parts[1].scaled(by: 1, adding: 1) + parts[0]
  }

  /// `[batch, width]`; nil in a tower without time conditioning.
  private func timeVectors(of timesteps: [Float]) -> Tensor? {
    guard let timeFirst, let timeSecond else { return nil }
    let features = sinusoidalFeatures(
      of: timesteps, width: Self.timeFeatures, cosinesFirst: true, shift: 0)
    return silu(timeSecond(silu(timeFirst(features))))
  }
}
