import Autograd
package import Diffusion
package import PreferenceModels
package import StepwiseOptimization

/// A trained preference model of either kind.
package enum PreferenceJudge {
  /// The half that reads prompts is large and needed seldom: it is read anew each time and let go of.
  case pixel(ImageScorer, prompts: () throws -> PromptEmbedder, isBlind: Bool)
  case latent(LatentPreferenceModel, told: SPOSettings.JudgedTimestep)

  /// - Parameter told: the timestep that it is conditioned on for a candidate
  package init(
    _ folder: ModelFolder, of base: ModelFolder, told: SPOSettings.JudgedTimestep
  ) throws {
    self =
      folder.isLatentPreferenceModel
      ? .latent(try folder.latentPreferenceModel(of: base), told: told)
      : .pixel(
        try folder.imageScorer(), prompts: folder.promptEmbedder, isBlind: told == .untold)
  }

  /// Keeps both halves of a model.
  package init(_ model: PreferenceModel, isBlind: Bool = false) {
    self = .pixel(model.imageScorer, prompts: { model.prompts }, isBlind: isBlind)
  }

  /// Judges candidates of some prompts.
  ///
  /// - Parameter autoencoder: decodes what a model of pixels is shown
  package func scorer(
    for prompts: [JudgedPrompt], _ autoencoder: Autoencoder
  ) throws -> any CandidateScorer {
    switch self {
    case .pixel(let model, let embedder, let isBlind):
      PixelScorer(
        model: model, autoencoder: autoencoder,
        texts: try withoutGradients { try embedder()(prompts.map(\.ids)) }, isBlind: isBlind)
    case .latent(let model, let told):
      LatentScorer(
        model: model, prompts: try withoutGradients { try model.prompts(prompts.map(\.text)) },
        told: told)
    }
  }
}

/// A prompt as preference models read it.
package struct JudgedPrompt {
  package var text: String
  /// Of the tokenizer that both kinds share with the diffusion model's first text encoder.
  package var ids: [Int]

  package init(text: String, ids: [Int]) {
    self.text = text
    self.ids = ids
  }
}
