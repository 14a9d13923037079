public import Autograd
public import NN

/// The transformer of both CLIP towers: layers of attention and feed-forward, each preceded by a
/// layer norm.
///
/// - Input, output: `[batch, tokens, width]`
/// - Keys: `layers.N.{self_attn.{q,k,v,out}_proj, layer_norm1, layer_norm2, mlp.{fc1,fc2}}`
/// - Source: Radford et al. 2021, arXiv 2103.00020
public struct CLIPEncoder {
  let layers: [CLIPEncoderLayer]
  /// Whether layers are recomputed in the backward pass.
  public var usesGradientCheckpointing = false

  /// - Parameter isTimeConditioned: whether each layer is modulated by a timestep
  public init(
    _ weights: Weights, _ configuration: CLIPTransformerConfiguration, isTimeConditioned: Bool
  ) throws {
    layers = try (0..<configuration.layers).map { index in
      try CLIPEncoderLayer(
        weights["layers"][index], configuration, isTimeConditioned: isTimeConditioned)
    }
  }

  /// Returns the hidden states before the first layer and after each layer.
  ///
  /// - Parameters:
  ///   - isCausal: whether a token attends only to itself and earlier ones
  ///   - time: `[batch, width]`, after SiLU, for a time-conditioned encoder
  public func hiddenStates(_ x: Tensor, isCausal: Bool, time: Tensor? = nil) -> [Tensor] {
    layers.reduce(into: [x]) { states, layer in
      let inputs = [states[states.count - 1]] + (time.map { [$0] } ?? [])
      states.append(
        checkpointed(inputs, if: usesGradientCheckpointing) {
          layer($0[0], isCausal: isCausal, time: time == nil ? nil : $0[1])
        })
    }
  }
}

/// One layer of `CLIPEncoder`.
///
///     x = x + gate (attention(norm1(x) (1 + scale) + shift))
///     x = x + gate (feedForward(norm2(x) (1 + scale) + shift))
///
/// Without time conditioning scales and shifts are 0 and gates 1.
struct CLIPEncoderLayer {
  let norm1: LayerNorm
  let query: Linear
  let key: Linear
  let value: Linear
  let output: Linear
  let norm2: LayerNorm
  let expand: Linear
  let contract: Linear
  /// The projection from the time vector to shift, scale and gate of the attention, then of the
  /// feed-forward.
  let modulation: Linear?
  let configuration: CLIPTransformerConfiguration

  init(
    _ weights: Weights, _ configuration: CLIPTransformerConfiguration, isTimeConditioned: Bool
  ) throws {
    let width = configuration.width
    let inner = configuration.feedForwardWidth
    // Standard deviations of CLIP's own initialisation.
    let depthScale = 1 / Float(2 * max(1, configuration.layers)).squareRoot()
    let widthScale = 1 / Float(width).squareRoot()
    let projection = Initializer.normal(deviation: widthScale * depthScale)
    let attention = weights["self_attn"]
    norm1 = try LayerNorm(weights["layer_norm1"], width: width, epsilon: configuration.epsilon)
    query = try Linear(attention["q_proj"], inputs: width, outputs: width, initial: projection)
    key = try Linear(attention["k_proj"], inputs: width, outputs: width, initial: projection)
    value = try Linear(attention["v_proj"], inputs: width, outputs: width, initial: projection)
    output = try Linear(
      attention["out_proj"], inputs: width, outputs: width,
      initial: .normal(deviation: widthScale))
    norm2 = try LayerNorm(weights["layer_norm2"], width: width, epsilon: configuration.epsilon)
    expand = try Linear(
      weights["mlp"]["fc1"], inputs: width, outputs: inner,
      initial: .normal(deviation: 1 / Float(2 * width).squareRoot()))
    contract = try Linear(
      weights["mlp"]["fc2"], inputs: inner, outputs: width, initial: projection)
    modulation =
      isTimeConditioned
      ? try Linear(
        weights["adaLN_modulation"][1], inputs: width, outputs: 6 * width, initial: .constant(0),
        initialBias: .perPart([0, 0, 1, 0, 0, 1]))
      : nil
    self.configuration = configuration
  }

  func callAsFunction(_ input: Tensor, isCausal: Bool, time: Tensor?) -> Tensor {
    var x = input
    let parts = time.flatMap { time in
      modulation.map { modulation in
        modulation(time).reshaped(to: [time.shape[0], 1, 6 * configuration.width])
          .split(axis: 2, into: 6)  // six of [batch, 1, width]
      }
    }

    // attention
    var h = modulated(norm1(x), shift: parts?[0], scale: parts?[1])
    h = output(
      attention(
        query: query(h), key: key(h), value: value(h), heads: configuration.heads,
        isCausal: isCausal))
    x = x + gated(h, by: parts?[2])

    // feed-forward
    h = modulated(norm2(x), shift: parts?[3], scale: parts?[4])
    h = contract(activated(expand(h), by: configuration.activation))
    return x + gated(h, by: parts?[5])
  }

  private func modulated(_ x: Tensor, shift: Tensor?, scale: Tensor?) -> Tensor {
    guard let shift, let scale else { return x }
    return x * scale.scaled(by: 1, adding: 1) + shift
  }

  private func gated(_ x: Tensor, by gate: Tensor?) -> Tensor { gate.map { x * $0 } ?? x }
}
