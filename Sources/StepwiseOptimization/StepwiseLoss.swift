public import Autograd
public import Diffusion
import Foundation
import TensorCore

/// The loss of step-by-step preference optimization over a batch of pairs.
///
///     r = clamp(exp(log p(x_{t-1}) - log p_ref(x_{t-1})), 1 - c, 1 + c)
///     loss = mean over pairs of -log sigmoid(beta (log r_win - log r_lose))
///
/// `log p` is the mean over elements of the log-density under the Gaussian of the tuned model's
/// DDIM step, `log p_ref` under that of the reference.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.1
public struct StepwiseLoss {
  public var beta: Float
  public var clip: Float

  public init(beta: Float, clip: Float) {
    self.beta = beta
    self.clip = clip
  }

  public struct Result {
    public let loss: Tensor
    /// The clamped ratios of each pair.
    public let winRatios: [Float]
    public let loseRatios: [Float]
    /// The divergence of the tuned model's step from the reference's at each latent:
    /// Kullback-Leibler, in nats, as a mean over elements.
    public let divergences: [Float]
  }

  /// - Parameters:
  ///   - transition: the DDIM steps from the batch's latents, one per row
  ///   - tuned: the tuned model's guided output at these latents, through which gradients flow
  ///   - reference: the reference model's output
  public func callAsFunction(
    _ pairs: PairBatch, _ transition: DDIMTransition, tuned: Tensor, reference: Tensor
  ) -> Result {
    let mean = transition.mean(pairs.latents, modelOutput: tuned)
    let referenceMean = transition.mean(pairs.latents, modelOutput: reference)
    let logLimits = log(1 - clip)...log(1 + clip)
    // log clamp(exp(d)) = clamp(d) between the logarithms; so d is never exponentiated.
    func logRatio(_ draws: PairBatch.Draws) -> Tensor {
      let steps = DDIMTransition(rows: draws.origins.map { transition.rows[$0] })
      return
        (steps.logDensity(draws.next, mean: mean.rows(at: draws.origins))
        - steps.logDensity(draws.next, mean: referenceMean.rows(at: draws.origins)))
        .clamped(to: logLimits)
    }
    let winRatio = logRatio(pairs.win)
    let loseRatio = logRatio(pairs.lose)
    let margins = (winRatio - loseRatio).scaled(by: beta)
    return Result(
      loss: margins.mapped(by: .logSigmoid).mean().scaled(by: -1),
      winRatios: winRatio.values.map { exp($0) }, loseRatios: loseRatio.values.map { exp($0) },
      divergences: withoutGradients {
        transition.divergence(of: mean.detached, from: referenceMean.detached).values
      })
  }
}

extension DDIMTransition {
  /// Returns the divergence between the steps implied by two model outputs, one number per row.
  func divergences(_ latents: Tensor, _ output: Tensor, from other: Tensor) -> [Float] {
    withoutGradients {
      divergence(
        of: mean(latents, modelOutput: output.detached),
        from: mean(latents, modelOutput: other.detached)
      ).values
    }
  }
}
