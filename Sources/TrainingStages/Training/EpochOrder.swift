import RandomStreams

/// The order of items in a training run: a fresh permutation each epoch.
///
/// A function of seed and position alone, so a resumed run continues in the same order.
package struct EpochOrder {
  private let count: Int
  private let seed: UInt64
  /// The permutation of the most recent epoch.
  private var current: (epoch: Int, items: [Int]) = (-1, [])

  package init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  /// Returns the items of a step's batch, each with its epoch.
  package mutating func items(step: Int, batch: Int) -> [(item: Int, epoch: Int)] {
    (step * batch..<(step + 1) * batch).map { position in
      let epoch = position / count
      if epoch != current.epoch { current = (epoch, permutation(epoch)) }
      return (current.items[position % count], epoch)
    }
  }

  private func permutation(_ epoch: Int) -> [Int] {
    var stream = RandomStream(seed: seed, purpose: "epoch", item: UInt64(epoch))
    return stream.permutation(count: count)
  }
}
