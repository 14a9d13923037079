import Autograd
import Diffusion
import PreferenceModels
import StepwiseOptimization

/// Scores candidates with the step-aware preference model, by the pictures that they promise.
struct PreferenceScorer: CandidateScorer {
  let model: PreferenceModel
  let autoencoder: Autoencoder
  /// Unit vectors of the batch's prompts, `[prompts, width]`.
  let texts: Tensor

  /// Pictures that are decoded at once.
  private static let batch = 40

  func scores(of estimates: Tensor, timestep: Int, prompts: [Int]) -> [Float] {
    withoutGradients {
      stride(from: 0, to: prompts.count, by: Self.batch).flatMap { start -> [Float] in
        let end = min(start + Self.batch, prompts.count)
        let latents = estimates.slice(axis: 0, start..<end)
        let pictures = autoencoder.decoder(
          latents.scaled(by: 1 / autoencoder.configuration.scalingFactor))
        let times = [Float](repeating: Float(timestep), count: end - start)
        let images = model.imageEmbedding(model.scoringPixels(pictures), timesteps: times)
        return model.score(image: images, text: texts.rows(at: Array(prompts[start..<end]))).values
      }
    }
  }
}
