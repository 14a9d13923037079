import Autograd
import PreferenceModels
import Shards

/// Comparisons as the preference model of pixels sees them: both pictures as the model that draws them
/// would estimate them from noise.
struct EstimatedPictures {
  let estimator: CleanEstimator
  /// Comparisons that are estimated at once: two pictures each, twice for guidance.
  let batch: Int
  /// Height and width that the preference model sees.
  let side: Int

  /// Pictures in 0...1, all left ones, then all right ones.
  ///
  /// - Parameter views: one for each comparison; clean ones and others do not mix
  /// - Returns: `[2 pairs, side, side, 3]`
  func callAsFunction(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView]
  ) throws -> Tensor {
    var parts: [Tensor] = []
    for start in stride(from: 0, to: pairs.count, by: batch) {
      let range = start..<min(start + batch, pairs.count)
      let pictures = try pictures(examples, of: Array(pairs[range]), Array(views[range]))
      parts.append(
        withoutGradients {
          resizedBicubic(pictures, height: side, width: side).clamped(to: 0...1)
        })
    }
    return concatenatedBySide(parts)
  }

  private func pictures(
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

/// Joins batches that each hold their left pictures, then their right ones, into one that does.
func concatenatedBySide(_ parts: [Tensor]) -> Tensor {
  guard parts.count > 1 else { return parts[0] }
  let halves = parts.map { $0.split(axis: 0, into: 2) }
  return concatenated(halves.map { $0[0] } + halves.map { $0[1] }, axis: 0)
}
