import Files
import Foundation
import PipelineCore
import ProceduralWorld
import Reporting
import StageSupport
import TrainingStages

/// The page of a run: images, scores and curves.
struct ReportPage {
  let run: ReportedRun
  let prompts: [String]
  /// Whether no prompt was trained on.
  let areHeldOut: Bool
  let settings: ReportSettings
  /// The model before tuning, then with each LoRA.
  let models: [ReportedModel]
  /// Reasons to doubt the figures.
  let warnings: [String]
  /// This run, then those that it is compared with.
  let variants: [RunSummary]
  /// The evaluation of the preference model; nil for a given one, which is not evaluated.
  let evaluation: JSONReader?
  let oracle: OracleFindings?
  /// Comparisons by published scores, one per tuned model; empty if no scorer is named.
  let scored: [PublishedScores.Comparison]
  /// One per LoRA.
  let drifts: [LoRADrift]
  let metrics: (preference: [JSON.Object], tuning: [TuningStage: [JSON.Object]])
  /// Images that the tuning stages generated during training.
  let trainingImages: [TuningStage: TrainingImages]
  /// The records of the stages before this one.
  let records: [(stage: String, record: JSONReader)]
  let files: ReportFiles
  /// Returns the PNG for the index of a prompt, that of an image, a model, and the index of a
  /// guidance.
  let image: (Int, Int, ReportedModel, Int) throws -> [UInt8]

  /// The oracle's findings about the run.
  struct OracleFindings {
    /// One per tuned model.
    let comparisons: [OracleComparison]
    /// Findings about the candidates of stage `spo`; nil if there are none.
    let scored: (orders: [CandidateOrder], time: CandidateScoring.StepTime)?
  }

  func report() throws -> Report {
    var sections: [ReportSection] = []
    if !warnings.isEmpty {
      sections.append(ReportSection("Warnings", warnings.map { .text($0) }))
    }
    if let oracle {
      sections.append(ReportSection("Scores", [.comparison(scores(oracle.comparisons))]))
    }
    sections += try scoreSections()
    sections += try imageSections()
    if variants.count > 1 {
      sections.append(
        ReportSection("Side by side", try RunSummary.blocks(variants, models.compactMap(\.stage))))
    }
    let scored = oracle?.scored.map { [ReportBlock.chart(candidateChart($0.orders))] } ?? []
    let trained = try evaluation.map { evaluation in
      [ReportBlock.chart(try accuracyChart(evaluation))]
        + MeasuredCurves(stage: TrainPreference.name, lines: metrics.preference).charts.map {
          .chart($0)
        }
    }
    if !scored.isEmpty || trained != nil {
      sections.append(ReportSection("Preference model", (trained ?? []) + scored))
    }
    sections += try models.compactMap(\.stage).map {
      let lines = metrics.tuning[$0] ?? []
      let charts =
        MeasuredCurves(stage: $0.rawValue, lines: lines).charts
        + ($0 == .spo ? [keptChart(lines)] : [])
      return ReportSection(
        try title(of: $0),
        trainingBlocks(trainingImages[$0], stage: $0.rawValue) + charts.map { .chart($0) })
    }
    sections.append(ReportSection("How it was made", try provenance()))
    return Report(
      title: try models.compactMap(\.stage).map(title).joined(separator: " and "),
      subtitle:
        "\(Spelled.count(prompts.count, of: "prompts"))\(areHeldOut ? ", held out" : ""), \(settings.picturesPerPrompt) images each, "
        + "the same noise before and after",
      facts: run.facts, sections: sections, footer: Machine.description)
  }

  /// Returns a stage's title.
  private func title(of stage: TuningStage) throws -> String {
    let record = records.first { $0.stage == stage.rawValue }?.record
    let loss = stage == .dpo ? try record?["settings"].string("loss") : nil
    return loss == DPOSettings.Loss.supervised.rawValue
      ? "Supervised tuning on preferred images" : stage.title
  }

  /// Returns the time and settings of each stage.
  private func provenance() throws -> [ReportBlock] {
    let times = ReportTable(
      columns: ["stage", "version", "units", "rejected", "seconds"],
      rows: try records.map { stage, record in
        let rejections = try record["rejects"].members().reduce(0) { $0 + (try $1.value.int()) }
        return [
          stage, "\(try record.int("version"))", "\(try record.int("units_total"))",
          "\(rejections)",
          String(format: "%.1f", try record.double("seconds")),
        ]
      }, numberColumns: [1, 2, 3, 4])
    return [.table(times)]
      + (try records.map { stage, record in
        .table(
          ReportTable(
            caption: "Settings of \(stage)",
            pairs: try record["settings"].members().map { ($0.key, $0.value.value.text()) },
            isFolded: true))
      })
  }

  private func candidateChart(_ orders: [CandidateOrder]) -> Chart {
    func points(_ share: (CandidateOrder) -> CandidateOrder.Share) -> [Chart.Point] {
      orders.filter { share($0).pairs > 0 }.map {
        Chart.Point(
          x: Double($0.timestep), y: share($0).value, error: share($0).standardError)
      }
    }
    return Chart(
      title: "Candidate pairs ordered as by the oracle", x: .init("timestep"),
      y: .init("share", range: 0.4...1),
      series: [
        .init("all pairs", style: .points, points: points(\.all)),
        .init("recorded pairs", style: .points, points: points(\.recorded)),
      ],
      rules: [.init(y: 0.5, label: "chance")],
      note:
        "Candidates for these prompts, sampled from the model before tuning. The bars are "
        + "standard errors over prompts.")
  }

  private func scores(_ comparisons: [OracleComparison]) -> ComparisonTable {
    ComparisonTable(
      rows: comparisons.flatMap { oracle in
        let of = comparisons.count > 1 ? "\(oracle.model.name): " : ""
        return [("aesthetics", oracle.aesthetics), ("agreement with the prompt", oracle.agreement)]
          .map { name, score in
            ComparisonTable.Row(
              of + name, before: score.before, after: score.after,
              standardError: score.standardError)
          }
      },
      note: "The oracle's scores, 0 to 100, over \(comparisons[0].images) images of "
        + "\(comparisons[0].prompts) prompts. "
        + "The standard error is that of the mean difference over prompts.")
  }

  private func accuracyChart(_ evaluation: JSONReader) throws -> Chart {
    let count = Double(max(1, try evaluation.int("pairs")))
    let points = try evaluation["accuracy"].members().compactMap { key, value -> Chart.Point? in
      guard let timestep = key == "clean" ? 0 : Double(key) else { return nil }
      let share = try value.double()
      return Chart.Point(
        x: timestep, y: share, error: (share * (1 - share) / count).squareRoot())
    }
    return Chart(
      title: "Agreement with the labels of split \(try evaluation.string("split"))",
      x: .init("timestep"),
      y: .init("share", range: 0.4...1),
      series: [.init("accuracy", style: .points, points: points)],
      rules: [.init(y: 0.5, label: "chance")],
      note: "Timestep 0: clean images. Ties are excluded."
        + (try evaluation.bool("chose_checkpoint")
          ? " The same comparisons chose the checkpoint, so this is optimistic." : ""))
  }

  /// Returns a chart of the fraction of prompts whose pair passed the threshold, by timestep.
  private func keptChart(_ lines: [JSON.Object]) -> Chart {
    var compared: [Int: Double] = [:]
    var kept: [Int: Double] = [:]
    for step in lines.flatMap({ $0["steps"]?.array ?? [] }) {
      guard let timestep = step["timestep"]?.int else { continue }
      compared[timestep, default: 0] += step["compared"]?.double ?? 0
      kept[timestep, default: 0] += step["kept"]?.double ?? 0
    }
    return Chart(
      title: "Pairs that passed the threshold", x: .init("timestep"),
      y: .init("share", range: 0...1),
      series: [
        .init(
          "kept", style: .points,
          points: compared.sorted { $0.key < $1.key }.map { timestep, count in
            Chart.Point(x: Double(timestep), y: (kept[timestep] ?? 0) / max(1, count))
          })
      ])
  }
}
