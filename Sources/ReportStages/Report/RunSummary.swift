import Evaluation
import Files
import Foundation
import PipelineCore
import Reporting
import TrainingStages

/// The figures of a finished run, from its `summary.json`, for comparison with other runs.
struct RunSummary {
  /// The name of the run's folder.
  let name: String
  private let workspace: String
  /// The folder of the report.
  private let folder: String
  private let json: JSONReader

  private init(_ json: JSONReader, folder: String, workspace: String) {
    name = URL(fileURLWithPath: Folders.canonical(workspace)).lastPathComponent
    self.workspace = workspace
    self.folder = folder
    self.json = json
  }

  /// Returns this run, then those of `paths` that exist.
  ///
  /// - Parameter folder: the report of this run
  static func all(
    summary: JSON, folder: String, workspace: String, beside paths: [String]
  ) throws -> [RunSummary] {
    let own = JSONReader(summary, path: "\(folder)/summary.json")
    return [RunSummary(own, folder: folder, workspace: workspace)]
      + (try paths.filter { Folders.exists($0) }.map { path in
        let folder = OutputPath.folder(of: path)
        return RunSummary(
          try JSONReader(contentsOf: path), folder: folder,
          workspace: OutputPath.folder(of: folder))
      })
  }

  /// Rejects a file that is not the summary of a run.
  static func requireReadable(_ path: String) throws {
    do {
      _ = try JSONReader(contentsOf: path)["seconds"].object()
    } catch let error as JSONError {
      throw PipelineError.badSetting(
        path: "report.beside", reason: "names what is not the summary.json of a run (\(error))")
    }
  }

  /// Returns accuracies and training curves overlaid, and a table of the rest.
  static func blocks(_ runs: [RunSummary], _ stages: [TuningStage]) throws -> [ReportBlock] {
    let curves = try stages.flatMap { stage in
      MeasuredCurves.charts(
        comparing: try runs.map { run in
          let folder = "\(run.workspace)/\(stage.rawValue)"
          let curves = MeasuredCurves(
            stage: stage.rawValue, lines: try TrainingLog.lines(in: folder))
          return (run.name, curves)
        })
    }
    return [
      .table(
        ReportTable(
          columns: ["figure"] + runs.map(\.name), rows: try rows(runs),
          numberColumns: Set(1..<runs.count + 1))),
      .chart(
        Chart(
          title: "Agreement with the held-out labels", x: .init("timestep"),
          y: .init("fraction of pairs", range: 0.4...1),
          series: try runs.map { .init($0.name, style: .points, points: try $0.accuracies()) },
          rules: [.init(y: 0.5, label: "chance")],
          note: "Timestep 0: clean images. Ties are excluded.")),
    ] + curves.map { .chart($0) }
  }

  // MARK: - Images

  /// Whether the images have the same prompts and noise.
  func drewTheSame(as other: RunSummary) throws -> Bool {
    func basis(_ run: RunSummary) throws -> [JSON?] {
      var sampling = try run.json.optional("sampling")?.object()
      sampling?["models"] = nil
      sampling?["negative_lora"] = nil
      return [try run.json.optional("prompts")?.value, sampling.map { .object($0) }]
    }
    let mine = try basis(self)
    return try !mine.contains(nil) && mine == basis(other)
  }

  /// Returns one image of a prompt by each tuned model, if it exists.
  func images(_ prompt: Int, _ image: Int) throws -> [ImageGrid.Shot] {
    let models = try json["sampling"]["models"].elements().map { try $0.string() }
    let digits = String(format: "%03d", prompt)
    return try models.dropFirst().compactMap { model in
      guard !model.contains("/") else { return nil }
      let path = "\(folder)/pictures/\(digits)-\(image)-\(model).png"
      guard Folders.exists(path) else { return nil }
      return ImageGrid.Shot("\(model), \(name)", png: try RegularFile(path: path).readAll())
    }
  }

  // MARK: - Figures

  private static func rows(_ runs: [RunSummary]) throws -> [[String]] {
    let figures: [(String, (RunSummary) throws -> String?)] = [
      ("preference model", { try $0.json.optional("preference")?.optional("kind")?.string() }),
      ("aesthetics", { try $0.change("aesthetics") }),
      ("agreement with the prompt", { try $0.change("agreement") }),
    ]
    let costs: [(String, (RunSummary) throws -> String?)] = [
      ("drift: norm of the LoRA's change", { try $0.drift() }),
      (
        "a sampling step with its candidates, ms per prompt",
        {
          try $0.json.optional("seconds_per_sampling_step").map {
            String(format: "%.1f", 1_000 * (try $0.double()))
          }
        }
      ),
      ("training the preference model, seconds", { try $0.seconds("preference") }),
      ("optimization, seconds", { try $0.seconds("spo") ?? $0.seconds("dpo") }),
    ]
    let scores = try scoreNames(runs).map { name in
      ("\(name): difference (95 % interval), win rate", { try $0.scores()[name] })
        as (String, (RunSummary) throws -> String?)
    }
    return try (figures + scores + costs).map { name, figure in
      [name] + (try runs.map { try figure($0) ?? "" })
    }
  }

  /// Returns scorers and guidances in order of appearance in the runs.
  private static func scoreNames(_ runs: [RunSummary]) throws -> [String] {
    var names: [String] = []
    for run in runs {
      for name in try run.scoreRows().map(\.name) where !names.contains(name) {
        names.append(name)
      }
    }
    return names
  }

  private func scoreRows() throws -> [(name: String, row: JSONReader)] {
    try json.optional("scores")?.elements().map { row in
      ("\(try row.string("scorer")), guidance \(try row.double("guidance"))", row)
    } ?? []
  }

  private func scores() throws -> [String: String] {
    var texts: [String: String] = [:]
    for (name, row) in try scoreRows() {
      guard let difference = try row.optional("difference") else { continue }
      let interval = try difference.optional("interval")?.elements().map {
        String(format: "%+.3f", try $0.double())
      }
      texts[name] =
        String(format: "%+.3f", try difference.double("mean"))
        + (interval.map { " (\($0.joined(separator: " to ")))" } ?? "")
        + String(format: ", %.0f %%", 100 * (try row["win_rate"].double("rate")))
    }
    return texts
  }

  private func drift() throws -> String? {
    try json.optional("drift").map { drift in
      String(
        format: "%.4g (%.2g %% of the weights')", try drift.double("lora_norm"),
        100 * (try drift.double("share_of_weights")))
    }
  }

  private func accuracies() throws -> [Chart.Point] {
    // A given preference model is not evaluated.
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
