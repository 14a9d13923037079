public import NN

/// The step-aware preference model: predicts how well people would like an image for a prompt,
/// estimated at a timestep.
///
///     score = exp(logit_scale) cos(image embedding, text embedding)
///
/// - Keys: HF `CLIPModel` names, and those of `VisionTower`
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2
public struct PreferenceModel {
  public let configuration: PreferenceConfiguration
  public private(set) var prompts: PromptEmbedder
  public private(set) var imageScorer: ImageScorer

  public init(_ weights: Weights, _ configuration: PreferenceConfiguration) throws {
    self.configuration = configuration
    prompts = try PromptEmbedder(weights, configuration)
    imageScorer = try ImageScorer(weights, configuration)
  }

  /// Whether the layers of both towers are recomputed in the backward pass.
  public var usesGradientCheckpointing: Bool {
    get { imageScorer.usesGradientCheckpointing }
    set {
      imageScorer.usesGradientCheckpointing = newValue
      prompts.usesGradientCheckpointing = newValue
    }
  }
}
