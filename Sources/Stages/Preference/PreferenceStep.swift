import Autograd
import NN
import PreferenceModels

/// One update of a preference model by a batch, whose gradients are computed in parts.
struct PreferenceStep {
  let trainee: any PreferenceTrainee
  /// Comparisons of a part.
  let microBatch: Int

  /// - Parameter views: one for each comparison; clean ones and others do not mix
  /// - Returns: the batch's loss and the norm of its gradients
  func callAsFunction(
    _ state: inout TrainingState, _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView]
  ) throws -> (loss: Float, norm: Float) {
    let sum = try gradients(for: state.parameters, examples, of: pairs, views)
    return (sum.loss, try state.update(sum.gradients, loss: sum.loss))
  }

  func gradients(
    for parameters: [Parameter], _ examples: PreferenceExamples, of pairs: [Int],
    _ views: [PreferenceView]
  ) throws -> GradientSum {
    let labels = try examples.labels(of: pairs)
    let total = labels.reduce(0) { $0 + $1.weight }
    var sum = GradientSum(parameters)
    for start in stride(from: 0, to: pairs.count, by: max(1, microBatch)) {
      let part = start..<min(start + max(1, microBatch), pairs.count)
      let scores = try trainee.scores(examples, of: Array(pairs[part]), Array(views[part]))
      sum.add(
        preferenceLoss(scores: scores, labels: Array(labels[part])),
        weight: labels[part].reduce(0) { $0 + $1.weight } / total)
    }
    return sum
  }
}
