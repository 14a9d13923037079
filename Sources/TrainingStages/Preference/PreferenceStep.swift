import Autograd
import NN
import PreferenceModels

/// One update of a preference model by a batch, whose gradients are computed in parts.
struct PreferenceStep {
  let trainee: any PreferenceTrainee
  /// Comparisons of a part.
  let microBatch: Int
  /// Called before each part, which at full size takes minutes; what it throws ends the step.
  let checkInterruption: () throws -> Void

  /// - Parameter views: one for each comparison; clean ones and others do not mix
  /// - Returns: the batch's loss, the norm of its gradients, and by how much the scores of the two images
  ///   of a comparison differ on average
  func callAsFunction(
    _ state: inout TrainingState, _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView]
  ) throws -> (loss: Float, norm: Float, gap: Float) {
    var gap: Float = 0
    let sum = try gradients(for: state.parameters, examples, of: pairs, views) { first, second in
      gap += zip(first.values, second.values).reduce(0) { $0 + abs($1.0 - $1.1) }
    }
    return (
      sum.loss, try state.update(sum.gradients, loss: sum.loss), gap / Float(max(1, pairs.count))
    )
  }

  /// - Parameter observe: is given the scores of the first and the second images of each part
  func gradients(
    for parameters: [Parameter], _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView], observe: (Tensor, Tensor) -> Void = { _, _ in }
  ) throws -> GradientSum {
    let labels = try examples.labels(of: pairs)
    let total = labels.reduce(0) { $0 + $1.weight }
    var sum = GradientSum(parameters)
    for start in stride(from: 0, to: pairs.count, by: max(1, microBatch)) {
      try checkInterruption()
      let part = start..<min(start + max(1, microBatch), pairs.count)
      let scores = try trainee.scores(examples, of: Array(pairs[part]), Array(views[part]))
      observe(scores.first, scores.second)
      sum.add(
        preferenceLoss(scores: scores, labels: Array(labels[part])),
        weight: labels[part].reduce(0) { $0 + $1.weight } / total)
    }
    return sum
  }
}
