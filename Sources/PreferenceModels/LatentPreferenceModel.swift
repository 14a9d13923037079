public import Autograd
public import Diffusion
public import NN
import TensorCore

/// The latent reward model: predicts how well people would like an image from its noisy latent
/// alone.
///
///     features = means over height and width of what each level of the U-Net's way down ends with,
///                and of its lowest level, the latter with guidance
///     score = exp(logit_scale) cos(visual_projection(features), text)
///
/// The text embedding is the text encoder's pooled output, projected by a separate layer or by
/// SDXL's second encoder.
///
/// - Keys: `unet.*` and `text_encoder.*` as in diffusers and transformers, `visual_projection`,
///   `text_projection`, `logit_scale`
/// - Source: Zhang et al. 2025, arXiv 2502.01051, section 4.1
public struct LatentPreferenceModel {
  /// The guidance scale of the middle block's features; 1: no guidance.
  public let guidance: Float
  /// All weights.
  public let parameters: [Parameter]
  private var encoder: UNetEncoder
  private let promptEncoder: PromptEncoder
  private let visualProjection: Linear
  /// Nil if the text encoder projects.
  private let textProjection: Linear?
  private let logitScale: Parameter
  /// The height and width in pixels of the images that the U-Net was trained for.
  private let imageSide: Int

  /// - Parameters:
  ///   - heads: the weights of the two projections and the scale
  ///   - encoder: the down path with its weights
  init(
    heads: Weights, encoder: (model: UNetEncoder, weights: Weights), promptEncoder: PromptEncoder,
    imageSide: Int, guidance: Float
  ) throws {
    self.encoder = encoder.model
    self.promptEncoder = promptEncoder
    self.guidance = guidance
    self.imageSide = imageSide
    let channels = encoder.model.configuration.channels
    let text = promptEncoder.configuration.parts[promptEncoder.configuration.parts.count - 1]
      .configuration
    let width = promptEncoder.configuration.pooledWidth ?? text.transformer.width
    visualProjection = try Linear(
      heads["visual_projection"], inputs: (channels + channels.suffix(1)).reduce(0, +),
      outputs: width,
      hasBias: false, initial: .normal(deviation: 0.02))
    textProjection =
      promptEncoder.configuration.pooledWidth == nil
      ? try Linear(
        heads["text_projection"], inputs: width, outputs: width, hasBias: false,
        initial: .normal(deviation: 1 / Float(width).squareRoot())) : nil
    // ln(1 / 0.07), CLIP's initial value.
    logitScale = try heads.parameter("logit_scale", shape: [], initial: .constant(2.6592))
    parameters =
      encoder.weights.parameters + promptEncoder.parameters + heads.parameters
  }

  /// The contents of `config.json`.
  public static let guidanceField = "feature_guidance"

  /// Whether the U-Net's blocks are recomputed in the backward pass.
  public var usesGradientCheckpointing: Bool {
    get { encoder.usesGradientCheckpointing }
    set { encoder.usesGradientCheckpointing = newValue }
  }

  /// The encoded prompts that scores need.
  public struct Prompts {
    /// The U-Net's conditioning, one row per prompt.
    public let conditioning: Conditioning
    /// The conditioning on the empty prompt, one row; nil without guidance.
    public let empty: Conditioning?
    /// Unit vectors, `[prompts, width]`.
    public let embedding: Tensor

    /// Returns the prompts at `indices`, in that order.
    public func rows(at indices: [Int]) -> Prompts {
      Prompts(
        conditioning: conditioning.rows(at: indices), empty: empty,
        embedding: embedding.rows(at: indices))
    }
  }

  public func prompts(_ texts: [String]) throws -> Prompts {
    // The empty prompt is encoded along with the others.
    let hasGuidance = guidance != 1
    let outputs = try promptEncoder.outputs(hasGuidance ? texts + [""] : texts)
    let all = Conditioning(promptEncoder.joined(outputs), height: imageSide, width: imageSide)
    let own = Array(texts.indices)
    let pooled = outputs[outputs.count - 1].pooled.rows(at: own)
    return Prompts(
      conditioning: all.rows(at: own), empty: hasGuidance ? all.rows(at: [texts.count]) : nil,
      embedding: (textProjection?(pooled) ?? pooled).normalizedRows())
  }

  /// Returns the scores of noisy latents, `[batch]`.
  ///
  /// - Parameters:
  ///   - latents: scaled, noised latents, `[batch, height, width, channels]`
  ///   - timesteps: one per latent
  ///   - prompts: one per latent
  public func scores(of latents: Tensor, timesteps: [Float], for prompts: Prompts) -> Tensor {
    let visual = visualProjection(features(of: latents, timesteps: timesteps, for: prompts))
    let cosines = (visual.normalizedRows() * prompts.embedding).sum(over: 1..<2)
    return cosines * logitScale.tensor.mapped(by: .exponential)
  }

  /// Returns features `[batch, width]`, the levels in down path order, then the middle block.
  private func features(
    of latents: Tensor, timesteps: [Float], for prompts: Prompts
  ) -> Tensor {
    let batch = latents.shape[0]
    // Both halves in one call: larger matrix products, and shared work is done once.
    let conditioning =
      prompts.empty.map { concatenated([$0.repeated(batch), prompts.conditioning]) }
      ?? prompts.conditioning
    return inHalfPrecision([latents] + conditioning.tensors) { inputs in
      let output = encoder(
        inputs[0], timesteps: timesteps, conditioning: conditioning.with(inputs.dropFirst()))
      return prompts.empty == nil
        ? concatenated((output.levels + [output.lowest]).map(means), axis: 1)
        : guidedFeatures(output, batch: batch)
    }
  }

  private func guidedFeatures(_ output: UNetEncoder.Output, batch: Int) -> Tensor {
    let levels = output.levels.map { means($0.slice(axis: 0, batch..<2 * batch)) }
    let lowest = means(output.lowest)
    let unconditional = lowest.slice(axis: 0, 0..<batch)
    let conditional = lowest.slice(axis: 0, batch..<2 * batch)
    let guided = unconditional + (conditional - unconditional).scaled(by: guidance)
    return concatenated(levels + [guided], axis: 1)
  }

  private func means(_ level: Tensor) -> Tensor { level.mean(over: 1..<3) }
}
