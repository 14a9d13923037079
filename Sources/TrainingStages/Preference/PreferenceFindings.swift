import Files
import Foundation

/// Reasons to doubt a trained preference model.
struct PreferenceFindings {
  /// The mean accuracy at the timesteps that select the best checkpoint.
  let accuracy: Double
  /// The number of held-out comparisons that are not ties.
  let comparisons: Int
  /// The loss at each step on noised images or latents.
  private let losses: [Double]
  private let gradientNorms: [Double]
  /// Mean score differences between the two images; empty if an earlier version trained the model.
  private let scoreGaps: [Double]

  /// - Parameters:
  ///   - lines: the lines of the stage's `metrics.jsonl`
  ///   - cleanSteps: the number of initial steps whose loss is not comparable to later ones
  init(_ lines: [JSON.Object], cleanSteps: Int, accuracy: Double, comparisons: Int) {
    self.accuracy = accuracy
    self.comparisons = comparisons
    let steps = lines.filter { $0["loss"] != nil && $0["step"]?.int ?? 0 > cleanSteps }
    losses = steps.compactMap { $0["loss"]?.double }
    gradientNorms = lines.compactMap { $0["gradient_norm"]?.double }
    scoreGaps = lines.compactMap { $0["score_gap"]?.double }
  }

  /// Returns one sentence per reason to doubt the model.
  func warnings() -> [String] {
    var warnings: [String] = []
    if comparisons == 0 {
      warnings.append(
        "preference: all held-out comparisons are ties, so the model's accuracy is unknown")
    } else {
      // The standard error of a model that guesses.
      let standardError = (0.25 / Double(comparisons)).squareRoot()
      if accuracy < 0.5 + 2 * standardError {
        warnings.append(
          "preference: the model agrees with \(percent(accuracy)) of \(comparisons) held-out "
            + "comparisons, averaged over noise levels, no better than chance (50 %, standard error "
            + "\(percent(standardError))); train longer, on more comparisons, or at another "
            + "preference.learning_rate")
      }
    }
    if let largest = scoreGaps.max(), largest < 1e-4 {
      warnings.append(
        "preference: the scores of the two images of a comparison hardly differ (by "
          + "\(TuningFindings.text(largest)) at most), so the model learned noise; check the "
          + "images of ingest.source")
    }
    warnings += TrainingWarnings.ofGradients(gradientNorms, of: "preference")
    if losses.count >= 20 {
      let part = losses.count / 5
      let (first, last) = (mean(losses.prefix(part)), mean(losses.suffix(part)))
      if last >= first {
        warnings.append(
          "preference: the loss did not fall: \(TuningFindings.text(first)) in the first fifth of "
            + "the steps, \(TuningFindings.text(last)) in the last")
      }
    }
    return warnings
  }

  private func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }

  private func mean(_ values: ArraySlice<Double>) -> Double {
    values.reduce(0, +) / Double(max(1, values.count))
  }
}
