public import Autograd
import Foundation

/// One labelled comparison of two images.
public struct PreferenceLabel: Equatable, Sendable {
  /// (1, 0): the first was preferred; (0, 1): the second; (0.5, 0.5): a tie.
  public var first: Float
  public var second: Float
  /// The number of comparisons that share the prompt.
  public var examplesPerPrompt: Float

  /// Every prompt has the same weight, however many comparisons it has.
  public var weight: Float { 1 / examplesPerPrompt }

  /// Two labels of 0 mean no label: such a row has no loss.
  var isTie: Bool { first == 0.5 && second == 0.5 }

  public init(first: Float, second: Float, examplesPerPrompt: Float) {
    self.first = first
    self.second = second
    self.examplesPerPrompt = examplesPerPrompt
  }
}

/// Returns the weighted cross-entropy of the two scores' softmax against the labels.
///
///     loss = sum w (-y0 log p0 - y1 log p1 - ln 2 [tie]),  w = (1/n) / sum (1/n)
///
/// A perfectly predicted tie has zero loss.
///
/// - Parameters:
///   - scores: the scores of the first and of the second images, `[batch]` each
///   - labels: one per row
/// - Returns: a scalar
/// - Source: Kirstain et al. 2023, arXiv 2305.01569, section 3; Liang et al. 2024, section 4.2
public func preferenceLoss(
  scores: (first: Tensor, second: Tensor), labels: [PreferenceLabel]
) -> Tensor {
  let batch = labels.count
  let weights = labels.map(\.weight)
  let total = weights.reduce(0, +)
  let logits = concatenated(
    [scores.first.reshaped(to: [batch, 1]), scores.second.reshaped(to: [batch, 1])], axis: 1)
  let targets = zip(labels, weights).flatMap { label, weight in
    [-label.first * weight / total, -label.second * weight / total]
  }
  let crossEntropy = (logits.logSoftmax() * Tensor(targets, shape: [batch, 2])).sum()
  let tieWeight = zip(labels, weights).reduce(Float(0)) { sum, row in
    row.0.isTie ? sum + row.1 / total : sum
  }
  return crossEntropy.scaled(by: 1, adding: -tieWeight * Float(log(2.0)))
}
