public import Autograd
import Foundation
import TensorCore

/// The Gaussians from which one DDIM step samples x_{t-1} for each row of a batch.
///
///     x0 = predicted clean latent
///     mean = sqrt(abar_prev) x0 + sqrt(1 - abar_prev - sigma^2) epsilon
///     x_{t-1} = mean + sigma z
///
/// - Source: Song et al. 2020, arXiv 2010.02502, equations 12 and 16
public struct DDIMTransition {
  public let rows: [DDIMStep]

  public init(rows: [DDIMStep]) { self.rows = rows }

  /// Returns the x0 prediction, `[batch, height, width, channels]`.
  public func predictedX0(_ latents: Tensor, modelOutput: Tensor) -> Tensor {
    let x0 = mixed(latents, modelOutput, \.predictedX0)
    return rows[0].clipRange.map { x0.clamped(to: -$0...$0) } ?? x0
  }

  /// Returns the mean of x_{t-1}.
  public func mean(_ latents: Tensor, modelOutput: Tensor) -> Tensor {
    predictedX0(latents, modelOutput: modelOutput) * column(\.predictedX0Scale)
      + mixed(latents, modelOutput, \.noise) * column(\.noiseScale)
  }

  /// Returns the noise prediction, `[batch, height, width, channels]`.
  public func predictedNoise(_ latents: Tensor, modelOutput: Tensor) -> Tensor {
    mixed(latents, modelOutput, \.noise)
  }

  /// `mean + sigma noise`.
  public func sample(mean: Tensor, noise: Tensor) -> Tensor { mean + noise * column(\.sigma) }

  /// Returns the log-density of `next` as a mean over elements, one per row.
  ///
  /// Only for steps with nonzero sigma: others have no density.
  public func logDensity(_ next: Tensor, mean: Tensor) -> Tensor {
    let squares = (next - mean).mapped(by: .square).mean(over: 1..<next.shape.count)  // [batch]
    let scales = rows.map { -0.5 / ($0.sigma * $0.sigma) }
    let constants = rows.map { -log($0.sigma) - 0.5 * log(2 * Float.pi) }
    return squares * Tensor(scales, shape: [rows.count])
      + Tensor(constants, shape: [rows.count])
  }

  /// Returns the Kullback-Leibler divergence between the Gaussians around two means, in nats, as a
  /// mean over elements, one per row.
  ///
  ///     KL = (mean - other)^2 / (2 sigma^2)
  ///
  /// Only for steps with nonzero sigma, which both share.
  public func divergence(of mean: Tensor, from other: Tensor) -> Tensor {
    let squares = (mean - other).mapped(by: .square).mean(over: 1..<mean.shape.count)  // [batch]
    return squares * Tensor(rows.map { 0.5 / ($0.sigma * $0.sigma) }, shape: [rows.count])
  }

  private func mixed(
    _ latents: Tensor, _ modelOutput: Tensor, _ mixture: KeyPath<DDIMStep, LinearCombination>
  ) -> Tensor {
    modelOutput * column(mixture.appending(path: \.output))
      + latents * column(mixture.appending(path: \.sample))
  }

  /// Returns one number per row, `[batch, 1, 1, 1]`.
  private func column(_ value: KeyPath<DDIMStep, Float>) -> Tensor {
    Tensor(rows.map { $0[keyPath: value] }, shape: [rows.count, 1, 1, 1])
  }
}

extension DDIMScheduler {
  /// Returns one step of a batch whose rows are at `timesteps`, as in step-by-step preference
  /// optimization: the last step ends at timestep 0.
  public func transition(
    from timesteps: [Int], stepCount: Int, eta: Float
  ) throws -> DDIMTransition {
    DDIMTransition(
      rows: try timesteps.map {
        try step(from: $0, stepCount: stepCount, eta: eta, finalStep: .timestepZero)
      })
  }
}
