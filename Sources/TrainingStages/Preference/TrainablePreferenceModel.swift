import Autograd
import Checkpoints
import Diffusion
import NN
import PreferenceModels
import Shards

/// A preference model in training, with its view of comparisons.
protocol TrainablePreferenceModel {
  /// All trainable parameters.
  var parameters: [Parameter] { get }

  /// Returns the scores of both images of comparisons.
  ///
  /// - Parameter views: one per comparison; clean and noised ones do not mix
  func scores(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView]
  ) throws -> (first: Tensor, second: Tensor)

  /// Writes the model as a folder.
  ///
  /// - Parameter precision: the precision of matrices and kernels
  func write(to folder: String, precision: WeightPrecision, metadata: [String: String]) throws
}

extension OutgoingTensor {
  /// Creates an entry for a parameter of a finished model.
  ///
  /// Vectors and scalars need little space and keep their precision.
  init(_ name: String, finished parameter: Parameter, precision: WeightPrecision) {
    self.init(
      name, type: parameter.storedShape.count > 1 ? precision.elementType : .f32,
      storing: parameter)
  }
}

extension TrainablePreferenceModel {
  /// Returns how often the scores agree with the labels; ties are left out.
  func accuracy(
    _ examples: PreferenceExamples, count: Int, _ view: PreferenceView, batch: Int
  ) throws -> (share: Double, count: Int) {
    let decided = try (0..<count).filter { number in
      let pair = try examples.shards.pair(number)
      return pair.label0 != pair.label1
    }
    var correct = 0
    for start in stride(from: 0, to: decided.count, by: batch) {
      let pairs = Array(decided[start..<min(start + batch, decided.count)])
      let scores = try withoutGradients {
        try self.scores(examples, of: pairs, pairs.map { _ in view })
      }
      for half in [scores.first, scores.second] {
        try half.requiringFinite(
          "preference model, \(examples.shards.split) comparisons \(view.name)")
      }
      let margins = zip(scores.first.values, scores.second.values).map { $0 - $1 }
      for (margin, label) in zip(margins, try examples.labels(of: pairs)) {
        if margin > 0 && label.first > label.second || margin < 0 && label.first < label.second {
          correct += 1
        }
      }
    }
    return (Double(correct) / Double(max(1, decided.count)), decided.count)
  }
}
