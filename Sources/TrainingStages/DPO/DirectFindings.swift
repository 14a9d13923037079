import Files
import Foundation
import Reporting

/// The outcome of a `dpo` run, from the metrics of all its steps.
struct DirectFindings {
  /// Accuracies against the reference; empty for supervised tuning, which has none.
  private let accuracies: [Double]
  private let winErrorChanges: [Double]
  private let gradientNorms: [Double]

  /// A description of the preferred images.
  private let preferred: String

  /// - Parameter lines: the lines of the stage's `metrics.jsonl`
  init(_ lines: [JSON.Object], of settings: DPOSettings) throws {
    preferred = settings.inverted ? "rejected" : "preferred"
    func values(_ key: String) throws -> [Double] {
      try lines.map { try JSONReader(.object($0), path: "metrics.jsonl").double(key) }
    }
    gradientNorms = try values("gradient_norm")
    guard settings.loss == .dpo else {
      (accuracies, winErrorChanges) = ([], [])
      return
    }
    accuracies = try values("implicit_accuracy")
    winErrorChanges = try values("win_error_change")
  }

  /// Returns one sentence per reason to doubt the result.
  func warnings() -> [String] {
    var warnings: [String] = []
    warnings += TrainingWarnings.ofGradients(gradientNorms, of: "dpo")
    // Learning shows only after the learning rate has risen; a few steps say nothing.
    guard accuracies.count >= 20 else { return warnings }
    let accuracy = MeanEstimate(Array(lastQuarter(accuracies))).mean
    if accuracy <= 0.5 {
      warnings.append(
        "dpo: in the last quarter of the steps the tuned model agrees with the "
          + (preferred == "rejected" ? "inverted " : "") + "label on "
          + "\(String(format: "%.0f", 100 * accuracy)) % of the training comparisons, no "
          + "better than chance; train longer, or raise dpo.learning_rate")
    }
    let change = MeanEstimate(Array(lastQuarter(winErrorChanges)))
    if let interval = change.interval, interval.lowerBound > 0 {
      warnings.append(
        "dpo: in the last quarter of the steps the tuned model removes the noise from \(preferred) images "
          + "worse than the untuned one (error +\(TuningFindings.text(change.mean))), which can degrade all "
          + "images; lower dpo.learning_rate, train for fewer steps, or raise dpo.beta")
    }
    return warnings
  }

  private func lastQuarter(_ values: [Double]) -> ArraySlice<Double> {
    values.suffix((values.count + 3) / 4)
  }
}
