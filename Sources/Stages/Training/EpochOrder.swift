import TensorCore

/// The order in which a training run sees its items: a fresh permutation each epoch.
///
/// A function of seed and position alone, so a resumed run goes on at once where it was.
struct EpochOrder {
  let count: Int
  let seed: UInt64

  /// The items of a step's batch, each with the epoch that it is seen in.
  func items(step: Int, batch: Int) -> [(item: Int, epoch: Int)] {
    let positions = step * batch..<(step + 1) * batch
    var permutations: [Int: [Int]] = [:]
    return positions.map { position in
      let epoch = position / count
      let permutation = permutations[epoch] ?? permutation(epoch)
      permutations[epoch] = permutation
      return (permutation[position % count], epoch)
    }
  }

  private func permutation(_ epoch: Int) -> [Int] {
    var stream = RandomStream(seed: seed, purpose: "epoch", item: UInt64(epoch))
    return stream.permutation(count: count)
  }
}
