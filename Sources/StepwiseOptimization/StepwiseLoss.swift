public import Autograd
public import Diffusion
import Foundation
import TensorCore

/// A preferred and a rejected continuation of one noisy latent.
public struct CandidatePair {
  public var timestep: Int
  /// The shared noisy latent x_t, `[1, height, width, channels]`.
  public var latent: Tensor
  /// The preferred x_{t-1}, the same shape.
  public var win: Tensor
  /// The rejected x_{t-1}.
  public var lose: Tensor
  /// Which prompt of the batch it belongs to.
  public var prompt: Int

  public init(timestep: Int, latent: Tensor, win: Tensor, lose: Tensor, prompt: Int) {
    self.timestep = timestep
    self.latent = latent
    self.win = win
    self.lose = lose
    self.prompt = prompt
  }
}

/// The loss of step-by-step preference optimization over a batch of pairs.
///
///     r = clamp(exp(log p(x_{t-1}) - log p_ref(x_{t-1})), 1 - c, 1 + c)
///     loss = mean over pairs of -log sigmoid(beta (log r_win - log r_lose))
///
/// `log p` is the mean over elements of the log-density under the Gaussian that a DDIM step of the
/// tuned model draws from, `log p_ref` under that of the reference.
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
  }

  /// - Parameters:
  ///   - transition: the DDIM steps of the pairs, one for each row
  ///   - latents: x_t, `[batch, height, width, channels]`
  ///   - win, lose: x_{t-1}, the same shape
  ///   - tuned: the tuned model's guided output at x_t, through which gradients flow
  ///   - reference: the reference model's
  public func callAsFunction(
    _ transition: DDIMTransition, latents: Tensor, win: Tensor, lose: Tensor, tuned: Tensor,
    reference: Tensor
  ) -> Result {
    let mean = transition.mean(latents, modelOutput: tuned)
    let referenceMean = transition.mean(latents, modelOutput: reference)
    let logLimits = log(1 - clip)...log(1 + clip)
    // log clamp(exp(d)) = clamp(d) between the logarithms; so d is never exponentiated.
    func logRatio(_ next: Tensor) -> Tensor {
      (transition.logDensity(next, mean: mean)
        - transition.logDensity(next, mean: referenceMean)).clamped(to: logLimits)
    }
    let winRatio = logRatio(win)
    let loseRatio = logRatio(lose)
    let margins = (winRatio - loseRatio).scaled(by: beta)
    return Result(
      loss: margins.mapped(by: .logSigmoid).mean().scaled(by: -1),
      winRatios: winRatio.values.map { exp($0) }, loseRatios: loseRatio.values.map { exp($0) })
  }
}
