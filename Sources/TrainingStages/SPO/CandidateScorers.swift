import Autograd
import Diffusion
import PreferenceModels
import StepwiseOptimization

/// Scores candidates by the images that they promise.
struct PixelScorer: CandidateScorer {
  let model: ImageScorer
  let autoencoder: Autoencoder
  /// Unit vectors of the batch's prompts, `[prompts, width]`.
  let texts: Tensor
  /// Whether the model is conditioned on timestep 0 always.
  let isBlind: Bool
  /// Images that are decoded at once.
  var batch = 40

  var view: CandidateView { .estimated }

  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) throws -> [Float] {
    try inParts(of: batch, latents, isBlind ? 0 : timestep, prompts) {
      latents, timesteps, prompts in
      let decoded = try autoencoder.images(of: latents)
      let embeddings = model.embedding(of: model.scoringPixels(decoded), timesteps: timesteps)
      return model.score(image: embeddings, text: texts.rows(at: prompts))
    }
  }
}

/// Scores candidates by their noisy latents.
struct LatentScorer: CandidateScorer {
  let model: LatentPreferenceModel
  let prompts: LatentPreferenceModel.Prompts
  /// The timestep that the model is conditioned on.
  ///
  /// It was trained on latents with the noise of the timestep it is conditioned on, so `drawn` is the one
  /// that fits.
  /// LPO says `source`. Where steps are long, the model then looks for noise that is not there, and what
  /// learns from it draws noise.
  let told: SPOSettings.JudgedTimestep
  /// Latents that are scored at once.
  var batch = 40

  var view: CandidateView { .drawn }

  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) -> [Float] {
    let told =
      switch told {
      case .drawn: timestep
      case .source: source
      case .untold: 0
      }
    return inParts(of: batch, latents, told, prompts) { latents, timesteps, prompts in
      model.scores(of: latents, timesteps: timesteps, for: self.prompts.rows(at: prompts))
    }
  }
}

/// The scores that `score` gives some rows at a time.
private func inParts(
  of size: Int, _ latents: Tensor, _ timestep: Int, _ prompts: [Int],
  _ score: (Tensor, [Float], [Int]) throws -> Tensor
) rethrows -> [Float] {
  try withoutGradients {
    try stride(from: 0, to: prompts.count, by: size).flatMap { start in
      let part = start..<min(start + size, prompts.count)
      return try score(
        latents.slice(axis: 0, part), [Float](repeating: Float(timestep), count: part.count),
        Array(prompts[part])
      ).values
    }
  }
}
