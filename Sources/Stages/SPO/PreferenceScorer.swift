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
  var batch = 40

  func scores(of estimates: Tensor, timestep: Int, prompts: [Int]) -> [Float] {
    withoutGradients {
      stride(from: 0, to: prompts.count, by: batch).flatMap { start -> [Float] in
        let end = min(start + batch, prompts.count)
        let pictures = pictures(of: estimates.slice(axis: 0, start..<end))
        let times = [Float](repeating: Float(timestep), count: end - start)
        let images = model.imageEmbedding(model.scoringPixels(pictures), timesteps: times)
        return model.score(image: images, text: texts.rows(at: Array(prompts[start..<end]))).values
      }
    }
  }

  /// Pictures `[batch, height, width, 3]` in -1...1.
  func pictures(of estimates: Tensor) -> Tensor {
    withoutGradients {
      autoencoder.decoder(estimates.scaled(by: 1 / autoencoder.configuration.scalingFactor))
    }
  }
}
