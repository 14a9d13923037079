import Files
import Foundation
import PipelineCore
import Reporting

/// The figures of a finished run, as its `summary.json` has them, to be compared with those of others.
struct RunSummary {
  /// The folder of the run.
  let name: String
  private let json: JSONReader

  private init(_ json: JSONReader, workspace: String) {
    name = URL(fileURLWithPath: workspace).lastPathComponent
    self.json = json
  }

  /// This run, then those of `paths` that are there.
  ///
  /// - Parameter folder: the report of this run
  static func all(
    summary: JSON, folder: String, beside paths: [String]
  ) throws -> [RunSummary] {
    func workspace(_ path: String) -> String {
      URL(fileURLWithPath: path).deletingLastPathComponent().deletingLastPathComponent().path
    }
    let own = "\(folder)/summary.json"
    return [RunSummary(JSONReader(summary, path: own), workspace: workspace(own))]
      + (try paths.filter { Folders.exists($0) }.map {
        RunSummary(try JSONReader(contentsOf: $0), workspace: workspace($0))
      })
  }

  /// A chart of the accuracies and a table of the rest.
  static func blocks(_ runs: [RunSummary]) throws -> [ReportBlock] {
    [
      .chart(
        Chart(
          title: "Agreement with the held-out labels", x: .init("timestep"),
          y: .init("share", range: 0.4...1),
          series: try runs.map { .init($0.name, style: .points, points: try $0.accuracies()) },
          rules: [.init(y: 0.5, label: "chance")],
          note: "Timestep 0: clean images. Ties are excluded.")),
      .table(
        ReportTable(
          columns: [""] + runs.map(\.name), rows: try rows(runs),
          numberColumns: Set(1..<runs.count + 1))),
    ]
  }

  private static func rows(_ runs: [RunSummary]) throws -> [[String]] {
    let figures: [(String, (RunSummary) throws -> String?)] = [
      ("preference model", { try $0.json.optional("preference")?.optional("kind")?.string() }),
      ("aesthetics", { try $0.change("aesthetics") }),
      ("agreement with the prompt", { try $0.change("agreement") }),
      (
        "a sampling step with its candidates, ms a prompt",
        {
          try $0.json.optional("seconds_per_sampling_step").map {
            String(format: "%.1f", 1_000 * (try $0.double()))
          }
        }
      ),
      ("training the preference model, seconds", { try $0.seconds("preference") }),
      ("optimization, seconds", { try $0.seconds("spo") ?? $0.seconds("dpo") }),
    ]
    return try figures.map { name, figure in [name] + (try runs.map { try figure($0) ?? "" }) }
  }

  private func accuracies() throws -> [Chart.Point] {
    // A preference model that was given is not evaluated.
    guard let preference = try json.optional("preference") else { return [] }
    let count = Double(max(1, try preference.int("pairs")))
    return try preference["accuracy"].members().compactMap { key, value in
      guard let timestep = key == "clean" ? 0 : Double(key) else { return nil }
      let share = try value.double()
      return Chart.Point(x: timestep, y: share, error: (share * (1 - share) / count).squareRoot())
    }
  }

  private func change(_ score: String) throws -> String? {
    try json.optional("oracle").map { oracle in
      let score = try oracle[score]
      let change = try score["after"].double() - score["before"].double()
      return String(
        format: "%+.1f (standard error %.1f)", change,
        try score["paired_standard_error"].double())
    }
  }

  private func seconds(_ stage: String) throws -> String? {
    try json["seconds"].optional(stage).map { String(format: "%.0f", try $0.double()) }
  }
}
