package import Files
import Foundation
import StageSupport

/// The outcome of an `spo` run, from the metrics of all its batches.
package struct TuningFindings {
  private(set) var batches = 0
  private(set) var batchesWithoutPair = 0
  private(set) var pairs = 0
  private(set) var updates = 0
  /// The number of prompts times steps whose candidates were compared.
  private(set) var compared = 0
  /// The mean difference between the preference probabilities of the best and the worst candidate.
  private(set) var meanGap = 0.0
  /// The range of thresholds over all comparisons; nil if there were none.
  private(set) var thresholds: ClosedRange<Double>?
  /// The clipped shares of batches with pairs.
  private var clippedShares: [Double] = []
  private var gradientNorms: [Double] = []
  /// The scores of the same held-out images, by scorer: before the first batch, then as measured.
  private var heldOutScores: [(scorer: String, scores: [[Double]])] = []
  private let isInverted: Bool

  /// - Parameters:
  ///   - lines: the lines of the stage's `metrics.jsonl`
  ///   - inverted: whether it was trained against the preference model
  package init(_ lines: [JSON.Object], inverted: Bool = false) throws {
    isInverted = inverted
    var gapSum = 0.0
    for line in lines {
      let reader = JSONReader(.object(line), path: "metrics.jsonl")
      let count = try reader.int("pairs")
      batches += 1
      for key in ["held_out_scores_before", "held_out_scores"] {
        try addHeldOutScores(reader.optional(key))
      }
      pairs += count
      updates += try reader.int("updates")
      for step in try reader["steps"].elements() {
        let (number, threshold) = (try step.int("compared"), try step.double("threshold"))
        compared += number
        gapSum += try step.double("mean_gap") * Double(number)
        thresholds =
          min(
            thresholds?.lowerBound ?? threshold, threshold)...max(
            thresholds?.upperBound ?? threshold, threshold)
      }
      guard count > 0 else {
        batchesWithoutPair += 1
        continue
      }
      clippedShares.append(try reader.double("clipped_share"))
      // A batch whose gradients wait for more has none.
      if try reader.int("updates") > 0 {
        gradientNorms.append(try reader.double("gradient_norm"))
      }
    }
    meanGap = gapSum / Double(max(1, compared))
  }

  private mutating func addHeldOutScores(_ line: JSONReader?) throws {
    for (scorer, scores) in try line?.members() ?? [] {
      let numbers = try scores.elements().map { try $0.double() }
      if let place = heldOutScores.firstIndex(where: { $0.scorer == scorer }) {
        heldOutScores[place].scores.append(numbers)
      } else {
        heldOutScores.append((scorer, [numbers]))
      }
    }
  }

  /// Returns warnings about scorers that rate the tuned model's images lower, by more than chance
  /// explains.
  private func heldOutWarnings() -> [String] {
    guard !isInverted else { return [] }
    return heldOutScores.compactMap { scorer, scores -> String? in
      guard scores.count > 1, let before = scores.first, let after = scores.last,
        before.count == after.count, before.count > 1
      else { return nil }
      let change = PairedComparison(before: before, after: after, groupSize: 1)
      guard change.change < -2 * change.standardError else { return nil }
      let figures =
        "\(Self.text(change.before)) to \(Self.text(change.after)) (standard error "
        + "\(Self.text(change.standardError)))"
      guard scorer == HeldOutScores.Measurement.preference else {
        return
          "spo: \(scorer) of held-out images fell from \(figures): the preference model may be "
          + "over-optimized; train for fewer batches, or raise spo.threshold"
      }
      return
        "spo: the preference model's score of held-out images fell from \(figures): what was learned "
        + "does not carry over; train on more prompts, for fewer batches, or lower spo.learning_rate"
    }
  }

  /// - Throws: ``NothingLearned`` if no pair was recorded
  func requirePairs() throws(NothingLearned) {
    guard pairs == 0 else { return }
    throw NothingLearned(
      reason: "stage spo kept no pair in \(batches) sampling batches: \(gapAndThreshold); lower "
        + "spo.threshold, raise spo.candidates, or train a preference model that tells candidates "
        + "apart")
  }

  /// The reason why a batch gave no pairs.
  var noPair: String { "no pair was kept: \(gapAndThreshold)" }

  private var gapAndThreshold: String {
    "the preference probabilities of the best and the worst candidate differ by "
      + "\(Self.text(meanGap)) on average (mean gap), and spo.threshold is \(thresholdText)"
  }

  /// Returns one sentence per reason to doubt the result.
  package func warnings() -> [String] {
    var warnings: [String] = []
    if batchesWithoutPair > 0 {
      warnings.append(
        "spo: \(batchesWithoutPair) of \(batches) sampling batches kept no pair (mean gap "
          + "\(Self.text(meanGap)), threshold \(thresholdText)); lower spo.threshold")
    }
    if compared > 0, meanGap < 1e-4 {
      warnings.append(
        "spo: the preference model hardly tells candidates apart (mean gap "
          + "\(Self.text(meanGap))); the LoRA learned noise")
    }
    warnings += TrainingWarnings.ofGradients(gradientNorms, of: "spo")
    let last = clippedShares.suffix((clippedShares.count + 3) / 4)
    let share = last.reduce(0, +) / Double(max(1, last.count))
    if share > 0.95 {
      warnings.append(
        "spo: \(String(format: "%.0f", 100 * share)) % of the likelihood ratios were clipped in the "
          + "last quarter of the batches, so little more was learned; lower "
          + "spo.learning_rate or raise spo.clip")
    }
    return warnings + heldOutWarnings()
  }

  private var thresholdText: String {
    guard let thresholds else { return "not reached" }
    let least = Self.text(thresholds.lowerBound)
    return thresholds.lowerBound == thresholds.upperBound
      ? least : "\(least) to \(Self.text(thresholds.upperBound))"
  }

  /// Formats a number with three significant digits.
  static func text(_ number: Double) -> String { String(format: "%.3g", number) }
}
