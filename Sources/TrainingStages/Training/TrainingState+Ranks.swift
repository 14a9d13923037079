import Autograd
import Files
import NN
import Ranks

// Rank 0 performs the updates and keeps the optimizer state; it sends the weights to the others
// after each. So processors that round differently cannot make the ranks diverge.
extension TrainingState {
  /// Sends the weights of rank 0 to all ranks.
  func shareWeights() throws {
    guard !ranks.isAlone else { return }
    for range in parameters.rangesAtOnce {
      let group = Array(parameters[range])
      var values =
        ranks.isFirst
        ? group.flatMap { $0.tensor.values }
        : [Float](repeating: 0, count: group.valueCount)
      try values.withUnsafeMutableBytes { try ranks.broadcast($0) }
      guard !ranks.isFirst else { continue }
      var place = 0
      for parameter in group {
        let shape = parameter.tensor.shape
        let end = place + shape.reduce(1, *)
        parameter.assignInMemory(Tensor(Array(values[place..<end]), shape: shape))
        place = end
      }
    }
  }

  /// Sends the initial state of rank 0 to all ranks.
  mutating func share() throws {
    try shareWeights()
    try shareAverage()
    let carriedBatches = try ranks.broadcast(carried?.batches ?? 0)
    if !ranks.isFirst {
      carried = carriedBatches > 0 ? GradientSum(parameters, batches: carriedBatches) : nil
    }
  }

  /// Sends the averages of rank 0 to all ranks, each of which then maintains its own.
  private func shareAverage() throws {
    guard !ranks.isAlone, let average else { return }
    for mean in average {
      var values = ranks.isFirst ? mean.values : [Float](repeating: 0, count: mean.count)
      try values.withUnsafeMutableBytes { try ranks.broadcast($0) }
      if !ranks.isFirst { mean.assign(Tensor(values, shape: mean.shape)) }
    }
  }

  /// SHA-256 over all weights.
  func weightsDigest() -> [UInt8] {
    var hash = SHA256()
    for parameter in parameters {
      parameter.tensor.withValues { hash.update(Array(UnsafeRawBufferPointer($0))) }
    }
    return Array(hash.finalize())
  }
}
