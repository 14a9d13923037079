public import Autograd
public import Diffusion
import Foundation
import TensorCore

/// The GradSPO loss over a batch of pairs whose winner and loser are sampled from one latent.
///
///     d     = (x_win - x_lose) / (2 sigma_t)       half the difference of the noises that they were drawn with
///     l(y)  = -mean over elements of (eps - y)^2,  y_win = eps_avg - s sqrt(1 - abar_t) d,
///                                                  y_lose = eps_avg + s sqrt(1 - abar_t) d
///     r     = clamp(exp(l(y) - l_ref(y)), 1 - c, 1 + c)
///     loss  = mean over pairs of -log sigmoid(beta (log r_win - log r_lose))
///
/// `eps` is the noise that the tuned model predicts, `eps_avg` that of the model that candidates
/// are sampled from. The winner's noise is treated as a noisy gradient of the preference, along
/// which the prediction is guided, with the same weight at every timestep; the loser's is
/// subtracted to reduce the noise.
///
/// - Source: Tee et al., "A Gradient Guidance Perspective on Stepwise Preference Optimization for Diffusion Models",
///   NeurIPS 2025 (openreview d6lIOnvOX2), as the authors' code computes it: s = 0.5, beta = 10, c = 0.1
public struct GradientGuidanceLoss {
  public var beta: Float
  public var clip: Float
  /// s.
  public var targetStep: Float

  public init(beta: Float, clip: Float, targetStep: Float) {
    self.beta = beta
    self.clip = clip
    self.targetStep = targetStep
  }

  /// - Parameters:
  ///   - transition: the DDIM steps from the batch's latents, one per row
  ///   - schedule: the noise schedule of these steps
  ///   - tuned: the tuned model's guided output at these latents, through which gradients flow
  ///   - reference: the reference model's output
  ///   - average: the output of the model that candidates are sampled from
  public func callAsFunction(
    _ pairs: PairBatch, _ transition: DDIMTransition, _ schedule: NoiseSchedule, tuned: Tensor,
    reference: Tensor, average: Tensor
  ) -> StepwiseLoss.Result {
    let rows = transition.rows
    let (noise, referenceNoise, averageNoise) = (
      transition.predictedNoise(pairs.latents, modelOutput: tuned),
      transition.predictedNoise(pairs.latents, modelOutput: reference),
      transition.predictedNoise(pairs.latents, modelOutput: average)
    )
    let scales = rows.map {
      targetStep * (1 - schedule.alphaBar[$0.timestep]).squareRoot() / (2 * $0.sigma)
    }
    let guidance =
      (pairs.win.next - pairs.lose.next) * Tensor(scales, shape: [rows.count, 1, 1, 1])
    let logLimits = log(1 - clip)...log(1 + clip)
    // l(tuned) - l(reference), as a product: the difference of two squares would lose digits.
    func logRatio(_ target: Tensor) -> Tensor {
      ((noise - referenceNoise) * (noise + referenceNoise - target.scaled(by: 2)))
        .mean(over: 1..<target.shape.count).scaled(by: -1).clamped(to: logLimits)
    }
    let winRatio = logRatio(averageNoise - guidance)
    let loseRatio = logRatio(averageNoise + guidance)
    let margins = (winRatio - loseRatio).scaled(by: beta)
    return StepwiseLoss.Result(
      loss: margins.mapped(by: .logSigmoid).mean().scaled(by: -1),
      winRatios: winRatio.values.map { exp($0) }, loseRatios: loseRatio.values.map { exp($0) },
      divergences: transition.divergences(pairs.latents, tuned, from: reference))
  }
}
