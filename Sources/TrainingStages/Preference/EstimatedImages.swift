import Autograd
import PreferenceModels
import Ranks
import Shards

/// The inputs of the pixel preference model: both images of a comparison as the diffusion model
/// would predict them from noise.
struct EstimatedImages {
  let estimator: CleanEstimator
  /// The number of comparisons per batch: two images each, doubled for guidance.
  let batch: Int
  /// The height and width of the preference model's input.
  let side: Int

  /// Returns images in 0...1, all left ones, then all right ones.
  ///
  /// - Parameters:
  ///   - views: one per comparison; clean and noised ones do not mix
  ///   - ranks: the processes that share the work and all receive the images
  /// - Returns: `[2 pairs, side, side, 3]`
  func callAsFunction(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView],
    _ ranks: Communicator = Communicator()
  ) throws -> Tensor {
    concatenatedBySide(
      try ranks.divided(
        (pairs.count + batch - 1) / batch, write: \.message, read: Tensor.init(message:)
      ) {
        let range = $0 * batch..<min(($0 + 1) * batch, pairs.count)
        let decoded = try decoded(examples, of: Array(pairs[range]), Array(views[range]))
        return withoutGradients {
          resizedBicubic(decoded, height: side, width: side).clamped(to: 0...1)
        }
      })
  }

  private func decoded(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView]
  ) throws -> Tensor {
    let latents = try examples.latents(of: pairs, views)
    guard views.first != .clean else { return try estimator.decoded(latents) }
    let timesteps = zip(pairs, views).map { examples.timestep(of: $0, $1) }
    return try estimator(
      latents, noise: examples.noise(for: pairs, views), timesteps: timesteps + timesteps,
      conditioning: try examples.conditioning(of: pairs),
      negative: try examples.shards.emptyConditioning())
  }
}

/// Concatenates batches of left, then right images into one such batch.
func concatenatedBySide(_ parts: [Tensor]) -> Tensor {
  guard parts.count > 1 else { return parts[0] }
  let halves = parts.map { $0.split(axis: 0, into: 2) }
  return concatenated(halves.map { $0[0] } + halves.map { $0[1] }, axis: 0)
}
