import Autograd
import NN
import PreferenceModels
import Ranks

/// One update of a preference model on a batch, whose gradients are accumulated over parts.
struct PreferenceStep {
  let model: any TrainablePreferenceModel
  /// The number of comparisons per part.
  let microBatch: Int
  /// Called before each part, which at full size takes minutes; an error ends the step.
  let checkInterruption: () throws -> Void

  /// - Parameter views: one per comparison; clean and noised ones do not mix
  /// - Returns: the batch's loss, the norm of its gradients, and the mean score difference between
  ///   the two images of a comparison
  func callAsFunction(
    _ state: inout TrainingState, _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView]
  ) throws -> (loss: Float, norm: Float, gap: Float) {
    let (sum, gap) = try gradients(
      for: state.parameters, examples, of: pairs, views, state.ranks)
    return (
      sum.loss, try state.update(sum.gradients, loss: sum.loss), gap / Float(max(1, pairs.count))
    )
  }

  /// - Returns: on rank 0 the gradients, and the sum of the score differences
  func gradients(
    for parameters: [Parameter], _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView], _ ranks: Communicator = Communicator()
  ) throws -> (sum: GradientSum, gap: Float) {
    let labels = try examples.labels(of: pairs)
    let total = labels.reduce(0) { $0 + $1.weight }
    var sum = GradientSum(parameters)
    let size = max(1, microBatch)
    let gaps = try sum.add(parts: (pairs.count + size - 1) / size, ranks) {
      try checkInterruption()
      let part = $0 * size..<min(($0 + 1) * size, pairs.count)
      let scores = try model.scores(examples, of: Array(pairs[part]), Array(views[part]))
      let gap = zip(scores.first.values, scores.second.values).reduce(0) { $0 + abs($1.0 - $1.1) }
      return GradientSum.Part(
        loss: preferenceLoss(scores: scores, labels: Array(labels[part])),
        weight: labels[part].reduce(0) { $0 + $1.weight } / total, figures: [gap])
    }
    return (sum, gaps.joined().reduce(0, +))
  }
}
