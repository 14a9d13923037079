public import Autograd
import Foundation
public import NN

/// Returns sinusoidal features of timesteps.
///
///     angle[i] = t exp(-ln(10000) i / (width / 2 - shift))
///
/// - Parameters:
///   - cosinesFirst: cosines, then sines (diffusers' `flip_sin_to_cos`), or the reverse
///   - shift: diffusers' `freq_shift`
/// - Returns: `[timesteps, width]`; an odd last column is 0
/// - Source: Ho et al. 2020, arXiv 2006.11239, appendix B; diffusers' `get_timestep_embedding`
public func sinusoidalFeatures(
  of timesteps: [Float], width: Int, cosinesFirst: Bool, shift: Float
) -> Tensor {
  let half = width / 2
  var values = [Float](repeating: 0, count: timesteps.count * width)
  for (row, timestep) in timesteps.enumerated() {
    for index in 0..<half {
      let angle = timestep * exp(-Float(log(10_000.0)) * Float(index) / (Float(half) - shift))
      values[row * width + index] = cosinesFirst ? cos(angle) : sin(angle)
      values[row * width + half + index] = cosinesFirst ? sin(angle) : cos(angle)
    }
  }
  return Tensor(values, shape: [timesteps.count, width])
}

/// Maps sinusoidal features to the vector that every block adds to its own features.
///
///     embedding = second(silu(first(features)))
///
/// - Input: `[batch, inputs]`
/// - Output: `[batch, width]`
/// - Keys: `linear_1`, `linear_2`
public struct TimestepEmbedding {
  let first: Linear
  let second: Linear

  public init(_ weights: Weights, inputs: Int, width: Int) throws {
    first = try Linear(weights["linear_1"], inputs: inputs, outputs: width)
    second = try Linear(weights["linear_2"], inputs: width, outputs: width)
  }

  public func callAsFunction(_ features: Tensor) -> Tensor { second(silu(first(features))) }
}
