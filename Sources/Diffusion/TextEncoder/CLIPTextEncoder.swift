public import Autograd
public import NN

/// CLIP's text tower: token ids to hidden states.
///
/// - Keys: `text_model.{embeddings, encoder, final_layer_norm}`, `text_projection.weight` where the
///   encoder has a projection
/// - Source: Radford et al. 2021, arXiv 2103.00020; transformers' `CLIPTextModel` and
///   `CLIPTextModelWithProjection`
public struct CLIPTextEncoder {
  public let configuration: CLIPTextConfiguration
  let tokenEmbedding: Embedding
  let positionEmbedding: Embedding
  private var encoder: CLIPEncoder
  let finalNorm: LayerNorm
  let projection: Linear?

  public init(
    _ weights: Weights, _ configuration: CLIPTextConfiguration, hasProjection: Bool
  ) throws {
    self.configuration = configuration
    let width = configuration.transformer.width
    let model = weights["text_model"]
    tokenEmbedding = try Embedding(
      model["embeddings"]["token_embedding"], count: configuration.vocabularySize, width: width)
    positionEmbedding = try Embedding(
      model["embeddings"]["position_embedding"], count: configuration.tokens, width: width)
    encoder = try CLIPEncoder(
      model["encoder"], configuration.transformer, isTimeConditioned: false)
    finalNorm = try LayerNorm(
      model["final_layer_norm"], width: width, epsilon: configuration.transformer.epsilon)
    projection =
      hasProjection
      ? try Linear(
        weights["text_projection"], inputs: width, outputs: configuration.projectionWidth,
        hasBias: false, initial: .normal(deviation: 1 / Float(width).squareRoot()))
      : nil
  }

  /// Whether layers are recomputed in the backward pass.
  public var usesGradientCheckpointing: Bool {
    get { encoder.usesGradientCheckpointing }
    set { encoder.usesGradientCheckpointing = newValue }
  }

  public struct Output {
    /// The hidden state after the final norm, `[batch, tokens, width]`.
    public let lastHiddenState: Tensor
    /// The hidden state before the last layer, without the final norm, `[batch, tokens, width]`.
    public let penultimateHiddenState: Tensor
    /// The last hidden state at the end token, projected if there is a projection, `[batch, width]`
    /// or `[batch, projection width]`.
    public let pooled: Tensor
  }

  /// - Parameter ids: one array of token ids per prompt, all of the same length
  public func callAsFunction(_ ids: [[Int]]) -> Output {
    let batch = ids.count
    let tokens = ids[0].count
    let width = configuration.transformer.width
    precondition(
      tokens <= configuration.tokens && ids.allSatisfy { $0.count == tokens },
      "prompts of \(ids.map(\.count)) tokens; the encoder expects \(configuration.tokens)")
    let ends = ids.enumerated().map { $0.offset * tokens + endPosition(of: $0.element) }
    let results: [Tensor] = inHalfPrecision([]) { _ in
      let embedded =
        tokenEmbedding(ids.flatMap { $0 }).reshaped(to: [batch, tokens, width])
        + positionEmbedding(Array(0..<tokens))  // [batch, tokens, width]
      let states = encoder.hiddenStates(embedded, isCausal: true)
      let last = finalNorm(states[states.count - 1])
      let pooled = last.reshaped(to: [batch * tokens, width]).rows(at: ends)  // [batch, width]
      return [last, states[max(0, states.count - 2)], pooled]
    }
    return Output(
      lastHiddenState: results[0], penultimateHiddenState: results[1],
      pooled: projection?(results[2]) ?? results[2])
  }

  /// Returns the position of a prompt's end token.
  private func endPosition(of ids: [Int]) -> Int {
    if configuration.endToken == CLIPTextConfiguration.legacyEndToken {
      return ids.firstIndex(of: ids.max() ?? 0) ?? 0
    }
    return ids.firstIndex(of: configuration.endToken) ?? 0
  }
}
