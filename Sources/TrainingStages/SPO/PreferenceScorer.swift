import Autograd
package import Diffusion
package import PreferenceModels
package import StepwiseOptimization

/// A trained preference model of either kind.
package enum PreferenceScorer {
  /// The text half is large and rarely needed: it is loaded each time and released.
  case pixel(ImageScorer, prompts: () throws -> PromptEmbedder, isBlind: Bool)
  case latent(LatentPreferenceModel, timestep: SPOSettings.ConditioningTimestep)

  /// - Parameter timestep: what a latent model is conditioned on for a candidate
  package init(
    _ folder: ModelFolder, of base: ModelFolder, timestep: SPOSettings.ConditioningTimestep
  ) throws {
    self =
      folder.isLatentPreferenceModel
      ? .latent(try folder.latentPreferenceModel(of: base), timestep: timestep)
      : .pixel(
        try folder.imageScorer(), prompts: folder.promptEmbedder, isBlind: timestep == .zero)
  }

  /// Keeps both halves of a model in memory.
  package init(_ model: PreferenceModel, isBlind: Bool = false) {
    self = .pixel(model.imageScorer, prompts: { model.prompts }, isBlind: isBlind)
  }

  /// Returns a scorer of candidates for some prompts.
  ///
  /// - Parameter autoencoder: decodes the input of a pixel model
  package func scorer(
    for prompts: [ScoredPrompt], _ autoencoder: Autoencoder
  ) throws -> any CandidateScorer {
    switch self {
    case .pixel(let model, let embedder, let isBlind):
      PixelScorer(
        model: model, autoencoder: autoencoder,
        texts: try withoutGradients { try embedder()(prompts.map(\.ids)) }, isBlind: isBlind)
    case .latent(let model, let timestep):
      LatentScorer(
        model: model, prompts: try withoutGradients { try model.prompts(prompts.map(\.text)) },
        conditioning: timestep)
    }
  }
}

/// A prompt as input of preference models.
package struct ScoredPrompt {
  package var text: String
  /// The ids from the tokenizer that both kinds share with the diffusion model's first text
  /// encoder.
  package var ids: [Int]

  package init(text: String, ids: [Int]) {
    self.text = text
    self.ids = ids
  }
}
