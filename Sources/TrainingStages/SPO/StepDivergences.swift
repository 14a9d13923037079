/// The divergences of the tuned model's steps from the reference's, by timestep.
///
/// Measured at the training latents, each before the update that it takes part in.
package struct StepDivergences: Equatable {
  private var sums: [Int: Sum] = [:]

  private struct Sum: Equatable {
    var total = 0.0
    var count = 0
  }

  /// - Parameter divergence: the divergence of one latent, see `StepwiseLoss.Result.divergences`
  mutating func add(_ divergence: Float, at timestep: Int) {
    sums[timestep, default: Sum()].total += Double(divergence)
    sums[timestep, default: Sum()].count += 1
  }

  mutating func add(_ other: StepDivergences) {
    for (timestep, sum) in other.sums {
      sums[timestep, default: Sum()].total += sum.total
      sums[timestep, default: Sum()].count += sum.count
    }
  }

  /// The mean over all latents; nil if there are none.
  package var mean: Double? {
    let count = sums.values.reduce(0) { $0 + $1.count }
    guard count > 0 else { return nil }
    // In a fixed order, since floating-point sums depend on it.
    return sums.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value.total } / Double(count)
  }

  /// The mean at each timestep, the noisiest first.
  package var byTimestep: [(timestep: Int, mean: Double)] {
    sums.sorted { $0.key > $1.key }.map { ($0.key, $0.value.total / Double($0.value.count)) }
  }
}
