import RandomStreams

/// The order in which a training run sees its items: a fresh permutation each epoch.
///
/// A function of seed and position alone, so a resumed run continues at once where it was.
package struct EpochOrder {
  private let count: Int
  private let seed: UInt64
  /// The permutation of the epoch that was seen last.
  private var current: (epoch: Int, items: [Int]) = (-1, [])

  package init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  /// The items of a step's batch, each with the epoch that it is seen in.
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
