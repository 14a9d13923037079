import Autograd
import Diffusion
import PreferenceModels
import StepwiseOptimization

/// Scores candidates by their decoded x0 predictions.
struct PixelScorer: CandidateScorer {
  let model: ImageScorer
  let autoencoder: Autoencoder
  /// Unit vectors of the batch's prompts, `[prompts, width]`.
  let texts: Tensor
  /// Whether the model is always conditioned on timestep 0.
  let isBlind: Bool
  /// The number of images decoded together.
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
  /// It was trained on latents with the noise of the timestep it is conditioned on, so `drawn` is
  /// the one that fits. LPO uses `source`. With long steps, the model then expects noise that is
  /// not there, and models tuned on its scores generate noise.
  let conditioning: SPOSettings.ConditioningTimestep
  /// The number of latents scored together.
  var batch = 40

  var view: CandidateView { .drawn }

  func scores(
    of latents: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
  ) -> [Float] {
    let timestep =
      switch conditioning {
      case .drawn: timestep
      case .source: source
      case .zero: 0
      }
    return inParts(of: batch, latents, timestep, prompts) { latents, timesteps, prompts in
      model.scores(of: latents, timesteps: timesteps, for: self.prompts.rows(at: prompts))
    }
  }
}

/// Calls `score` on batches of rows and returns all scores.
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
