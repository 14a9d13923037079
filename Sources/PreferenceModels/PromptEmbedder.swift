public import Autograd
import Diffusion
public import NN

/// The text half of a preference model.
///
/// - Keys: `text_model`, `text_projection` of an HF `CLIPModel`
public struct PromptEmbedder {
  private let configuration: PreferenceConfiguration
  private var encoder: CLIPTextEncoder

  public init(_ weights: Weights, _ configuration: PreferenceConfiguration) throws {
    self.configuration = configuration
    encoder = try CLIPTextEncoder(weights, configuration.text, hasProjection: true)
  }

  /// Whether a weight of a preference model belongs to this half.
  static func owns(_ name: String) -> Bool {
    name.hasPrefix("text_model.") || name.hasPrefix("text_projection.")
  }

  /// Whether layers are recomputed in the backward pass.
  var usesGradientCheckpointing: Bool {
    get { encoder.usesGradientCheckpointing }
    set { encoder.usesGradientCheckpointing = newValue }
  }

  /// Returns unit vectors of prompts, `[batch, projection width]`.
  ///
  /// - Throws: `PreferenceConfigurationError.unknownTokens` if the model has no such tokens
  public func callAsFunction(_ ids: [[Int]]) throws -> Tensor {
    try configuration.requireFit(ids)
    return encoder(ids).pooled.normalizedRows()
  }
}
