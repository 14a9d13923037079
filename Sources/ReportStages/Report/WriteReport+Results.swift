import Evaluation
import Files
import Foundation
import PipelineCore

extension WriteReport {
  /// Returns the figures of the summary, for the terminal.
  func results() throws -> [String] {
    let summary = try JSONReader(contentsOf: "\(folder)/summary.json")
    var lines: [String] = []
    for comparison in try scoring.comparisons(prompts: prompts().count) {
      lines += ScoreTable(comparison.rows, model: comparison.model.name, against: "before").lines
    }
    for model in models.dropFirst() {
      guard let oracle = try summary.optional(key("oracle", model)) else { continue }
      let of = models.count > 2 ? "\(model.name): " : ""
      for name in ["aesthetics", "agreement"] {
        let score = try oracle[name]
        let (before, after) = (try score["before"].double(), try score["after"].double())
        lines.append(
          String(
            format: "%@%@ %.2f -> %.2f (%+.2f, standard error %.2f over %d prompts)", of, name,
            before,
            after, after - before, try score["paired_standard_error"].double(),
            try oracle.int("prompts")))
      }
    }
    if let candidates = try summary.optional("candidates") {
      lines.append("fraction of candidate pairs ordered as by the oracle, per timestep:")
      for step in try candidates.elements() {
        let (all, recorded) = (try step["all"], try step["recorded"])
        guard try recorded.int("pairs") > 0 else {
          lines.append(
            String(
              format: "  t=%d: %.3f of %d pairs (standard error %.3f); recorded: none",
              try step.int("timestep"), try all.double("share"), try all.int("pairs"),
              try all.double("standard_error")))
          continue
        }
        lines.append(
          String(
            format:
              "  t=%d: %.3f of %d pairs (standard error %.3f); recorded: %.3f of %d pairs (%.3f)",
            try step.int("timestep"), try all.double("share"), try all.int("pairs"),
            try all.double("standard_error"), try recorded.double("share"),
            try recorded.int("pairs"), try recorded.double("standard_error")))
      }
    }
    if let seconds = try summary.optional("seconds_per_sampling_step") {
      lines.append(
        String(
          format: "a sampling step with its candidates took %.1f ms per prompt",
          1_000 * (try seconds.double())))
    }
    return lines + ["the report is \(folder)/index.html"]
  }
}
