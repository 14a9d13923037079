package import Files
import Foundation
package import Reporting

/// Training measurements over steps, as self-explanatory charts.
package struct MeasuredCurves {
  /// A chart of one stage, with one or more measurements by their names in the metrics.
  private struct Curve {
    let title: String
    let y: String
    let series: [(key: String, name: String)]
    var rules: [Chart.Rule] = []
    let note: String
    /// The name of the value before the first step, in any line.
    var before: String?
    /// The name of the same measurement at each timestep; the extreme timesteps are charted.
    var byTimestep: String?

    init(
      _ key: String, _ title: String, y: String, rules: [Chart.Rule] = [], note: String = "",
      before: String? = nil, byTimestep: String? = nil
    ) {
      self.init(
        [(key, byTimestep == nil ? "" : "all timesteps")], title, y: y, rules: rules, note: note)
      self.before = before
      self.byTimestep = byTimestep
    }

    init(
      _ series: [(key: String, name: String)], _ title: String, y: String,
      rules: [Chart.Rule] = [], note: String = ""
    ) {
      self.title = title
      self.y = y
      self.series = series
      self.rules = rules
      self.note = note
    }
  }

  /// The charts for known measurement names.
  private static let known: [String: [Curve]] = [
    "preference": [
      Curve(
        "loss", "Loss", y: "cross-entropy", rules: [chanceLoss],
        note: "For predicting the preferred image of a pair; ln 2 is chance."),
      Curve(
        "validation_accuracy", "Agreement with the held-out labels", y: "fraction of pairs",
        rules: [.init(y: 0.5, label: "chance")],
        note: "Measured during training, to choose the checkpoint."),
      Curve(
        "score_gap", "Score margin of the preferred image", y: "score",
        rules: [.init(y: 0, label: "no difference")]),
      gradientNorm,
    ],
    "spo": [
      Curve(
        "loss", "Loss", y: "loss", rules: [chanceLoss],
        note: "At ln 2, the better and the worse candidate are equally likely."),
      Curve(
        "final_score", "Mean score after the last compared step",
        y: "score of the preference model",
        note: "On the training prompts. A rise shows that tuning works, not that images are "
          + "better; see the held-out prompts for that."),
      Curve(
        "held_out_score", "Mean score of held-out prompts", y: "score of the preference model",
        note:
          "Always from the same noise. If it falls while the score of the training prompts "
          + "rises, tuning has gone too far.", before: "held_out_score_before"),
      Curve(
        "kl", "KL divergence from the model before tuning", y: "nats per element",
        note:
          "Between the Gaussians of the denoising steps, at the latents used for training.",
        byTimestep: "kl_by_timestep"),
      Curve(
        "pairs", "Pairs trained on", y: "pairs per batch",
        note: "Candidates that differ by less than the threshold yield no pair."),
      Curve(
        "clipped_share", "Clipped likelihood ratios", y: "fraction of ratios",
        note: "Clipped pairs have no gradient until the next batch is sampled."),
      gradientNorm,
    ],
    "dpo": [
      Curve(
        "loss", "Loss", y: "loss", rules: [chanceLoss],
        note: "At ln 2, nothing has been learned yet."),
      Curve(
        "implicit_accuracy", "Agreement with the training labels", y: "fraction of pairs",
        rules: [.init(y: 0.5, label: "chance")]),
      Curve(
        [("win_error_change", "preferred images"), ("lose_error_change", "rejected images")],
        "Denoising error minus that of the untuned model", y: "squared error",
        rules: [.init(y: 0, label: "before tuning")],
        note: "If both rise, the model separates the images by getting worse at both."),
      Curve(
        "loser_scale", "Scale of the rejected images' gradients", y: "factor",
        note: "Below 1 if the preferred images would otherwise get worse."),
      Curve("margin", "Margin of the preferred image", y: "logit"),
      gradientNorm,
    ],
  ]

  private static let chanceLoss = Chart.Rule(y: 0.693_147, label: "ln 2: chance")
  private static let gradientNorm = Curve("gradient_norm", "Gradient norm", y: "norm")
  /// Measurements on the pairs of a batch.
  private static let ofPairs: Set<String> = ["loss", "gradient_norm", "clipped_share"]
  /// Counters, which are not charted.
  private static let counters: Set<String> = ["step", "updates"]

  package let stage: String
  /// The lines of the stage's metrics.
  package let lines: [JSON.Object]

  package init(stage: String, lines: [JSON.Object]) {
    self.stage = stage
    self.lines = lines
  }

  private var x: String { stage == "spo" ? "sampling batch" : "step" }

  /// A chart for each measurement, unknown names last.
  package var charts: [Chart] {
    let curves = curves
    return curves.map { curve in
      chart(
        curve,
        (curve.series.map { series($0.key, named: $0.name, before: curve.before) }
          + (curve.byTimestep.map(outermost) ?? [])).enumerated().flatMap { place, series in
            series.smoothed(colour: place)
          })
    }
  }

  /// Returns charts of the same measurements of several runs of this stage, one series each.
  ///
  /// - Parameter runs: the current run first
  static func charts(comparing runs: [(name: String, curves: MeasuredCurves)]) -> [Chart] {
    guard runs.count > 1, let first = runs.first?.curves else { return [] }
    return first.curves.filter { $0.series.count == 1 }.compactMap { curve in
      let series = runs.enumerated().flatMap { place, run in
        run.curves.series(curve.series[0].key, named: run.name).smoothed(colour: place)
      }.filter { !$0.points.isEmpty }
      return series.count > 1 ? first.chart(curve, series) : nil
    }
  }

  private var curves: [Curve] {
    let keys = measured
    let known = Self.known[stage] ?? []
    let named = Set(known.flatMap { $0.series.map(\.key) + [$0.before ?? ""] })
    let others = keys.filter { !named.contains($0) }.compactMap { key -> Curve? in
      if key.hasPrefix("held_out_") { return heldOutCurve(key) }
      let words = key.replacingOccurrences(of: "_", with: " ")
      return Curve(key, words.prefix(1).uppercased() + words.dropFirst(), y: words)
    }
    return known.filter { $0.series.contains { keys.contains($0.key) } } + others
  }

  /// Returns the curve of a scorer that was not trained on; nil for its value before the first
  /// batch, where that curve begins.
  private func heldOutCurve(_ key: String) -> Curve? {
    let before = "_before"
    guard !key.hasSuffix(before) else { return nil }
    let scorer = key.dropFirst("held_out_".count)
    return Curve(
      key, "Held-out prompts: \(scorer)", y: "score",
      note:
        "Not learned from. If it falls while the score of the preference model rises, tuning has gone too far.",
      before: key + before)
  }

  /// The names of the numbers in the metrics, in order of appearance.
  private var measured: [String] {
    var seen: Set<String> = Self.counters
    return lines.flatMap { line in
      line.compactMap { key, value in
        value.double != nil && seen.insert(key).inserted ? key : nil
      }
    }
  }

  private func series(
    _ key: String, named name: String, before: String? = nil
  ) -> Chart.Series {
    let first = before.flatMap { before in lines.lazy.compactMap { $0[before]?.double }.first }
    return .init(
      name,
      points: (first.map { [Chart.Point(x: 0, y: $0)] } ?? [])
        + lines.compactMap { line in
          guard let step = line["step"]?.double, let value = line[key]?.double else { return nil }
          // A batch without pairs has no loss; a zero in its place would look like one.
          let isMissing = line["pairs"]?.int == 0 && Self.ofPairs.contains(key)
          return Chart.Point(x: step, y: isMissing ? .nan : value)
        })
  }

  /// Returns the measurements at the largest and at the smallest timestep.
  private func outermost(_ key: String) -> [Chart.Series] {
    let timesteps = lines.flatMap { ($0[key]?.object?.keys ?? []).compactMap { Int($0) } }
    guard let last = timesteps.max(), let first = timesteps.min(), first < last else { return [] }
    return [last, first].map { timestep in
      .init(
        "timestep \(timestep)",
        points: lines.compactMap { line in
          guard let step = line["step"]?.double, let value = line[key]?["\(timestep)"]?.double
          else { return nil }
          return Chart.Point(x: step, y: value)
        })
    }
  }

  private func chart(_ curve: Curve, _ series: [Chart.Series]) -> Chart {
    Chart(
      title: curve.title, x: .init(x), y: .init(curve.y), series: series, rules: curve.rules,
      note: curve.note)
  }
}
