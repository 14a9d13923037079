import Files
import Foundation
import ProceduralWorld
import Reporting
import StageSupport
import TrainingStages

/// The page that shows a run: pictures, scores and curves.
struct ReportPage {
  let prompts: [String]
  let settings: ReportSettings
  /// Before tuning, then with each LoRA.
  let models: [ReportedModel]
  /// Why the figures may mean less than they seem to.
  let warnings: [String]
  /// This run, then those that it is compared with.
  let variants: [RunSummary]
  /// Of the preference model; nil where one was given that is not evaluated.
  let evaluation: JSONReader?
  let oracle: OracleFindings?
  /// By published scores, one for each tuned model; none where no scorer is named.
  let scored: [PublishedScores.Comparison]
  /// One for each LoRA.
  let drifts: [LoRADrift]
  let metrics: (preference: [JSON.Object], tuning: [TuningStage: [JSON.Object]])
  /// The stages before this one, as the runner has recorded them.
  let records: [(stage: String, record: JSONReader)]
  /// The PNG of a prompt's number, a picture's number, a model, and the place of a guidance.
  let picture: (Int, Int, ReportedModel, Int) throws -> [UInt8]

  /// What the world itself says of the run.
  struct OracleFindings {
    /// One for each tuned model.
    let comparisons: [OracleComparison]
    /// Of the candidates of stage `spo`; nil where there is none.
    let judged: (orders: [CandidateOrder], time: CandidateJudging.StepTime)?
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
    sections.append(ReportSection("Before and after", [.pictures(try grid())]))
    if variants.count > 1 {
      sections.append(ReportSection("Side by side", try RunSummary.blocks(variants)))
    }
    let judged = oracle?.judged.map { [ReportBlock.chart(candidateChart($0.orders))] } ?? []
    let trained = try evaluation.map { evaluation in
      [
        ReportBlock.chart(try accuracyChart(evaluation)),
        .chart(curve("Loss", "loss", metrics.preference, x: "step")),
      ]
    }
    if !judged.isEmpty || trained != nil {
      sections.append(ReportSection("Preference model", (trained ?? []) + judged))
    }
    sections += try models.compactMap(\.stage).map {
      ReportSection(
        try title(of: $0), tuningCharts($0, metrics.tuning[$0] ?? []).map { .chart($0) })
    }
    sections.append(ReportSection("How it was made", try provenance()))
    return Report(
      title: try models.compactMap(\.stage).map(title).joined(separator: " and "),
      subtitle: "\(prompts.count) held-out prompts, \(settings.picturesPerPrompt) images each, "
        + "the same noise before and after",
      sections: sections, footer: Machine.description)
  }

  /// What a stage does, as a heading.
  private func title(of stage: TuningStage) throws -> String {
    let record = records.first { $0.stage == stage.rawValue }?.record
    let loss = stage == .dpo ? try record?["settings"].string("loss") : nil
    return loss == DPOSettings.Loss.supervised.rawValue
      ? "Supervised tuning on preferred images" : stage.title
  }

  /// Time and settings of each stage.
  private func provenance() throws -> [ReportBlock] {
    let times = ReportTable(
      columns: ["stage", "version", "units", "rejected", "seconds"],
      rows: try records.map { stage, record in
        let rejects = try record["rejects"].members().reduce(0) { $0 + (try $1.value.int()) }
        return [
          stage, "\(try record.int("version"))", "\(try record.int("units_total"))", "\(rejects)",
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
      title: "Candidate pairs in the oracle's order", x: .init("timestep"),
      y: .init("share", range: 0.4...1),
      series: [
        .init("all pairs", style: .points, points: points(\.all)),
        .init("recorded pairs", style: .points, points: points(\.recorded)),
      ],
      rules: [.init(y: 0.5, label: "chance")],
      note:
        "Candidates for the held-out prompts, sampled from the model before tuning. The bars are "
        + "standard errors over prompts.")
  }

  /// The measurements of a tuning stage, as far as it makes them.
  private func tuningCharts(_ stage: TuningStage, _ lines: [JSON.Object]) -> [Chart] {
    allTuningCharts(stage, lines).filter { !$0.series.allSatisfy(\.points.isEmpty) }
  }

  private func allTuningCharts(_ stage: TuningStage, _ lines: [JSON.Object]) -> [Chart] {
    switch stage {
    case .spo:
      [
        curve("Loss", "loss", lines, x: "sampling batch"), keptChart(lines),
        curve("Clipped ratios, share", "clipped_share", lines, x: "sampling batch"),
        curve("Mean score of finished samples", "final_score", lines, x: "sampling batch"),
        heldOutChart(lines), divergenceChart(lines),
      ]
    case .dpo:
      [
        curve("Loss", "loss", lines, x: "step"),
        curve("Agreement with the training labels", "implicit_accuracy", lines, x: "step"),
        curve(
          "Error on preferred images, against the untuned model", "win_error_change", lines,
          x: "step"),
        curve(
          "Error on rejected images, against the untuned model", "lose_error_change", lines,
          x: "step"),
        curve("Scale of rejected images' gradients", "loser_scale", lines, x: "step"),
      ]
    }
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
      note: "The oracle's scores, 0 to 100, over \(comparisons[0].pictures) images of "
        + "\(comparisons[0].prompts) prompts. "
        + "The standard error is that of the mean difference, over prompts.")
  }

  private func grid() throws -> PictureGrid {
    let shown = prompts.prefix(settings.shownPrompts).enumerated()
    return PictureGrid(
      cards: try shown.map { index, prompt in
        PictureGrid.Card(
          prompt: prompt,
          shots: try (0..<min(2, settings.picturesPerPrompt)).flatMap { number in
            try models.map { model in
              PictureGrid.Shot(
                model.name, png: try picture(index, number, model, 0),
                note: note(index * settings.picturesPerPrompt + number, model))
            }
          })
      })
  }

  private func note(_ index: Int, _ model: ReportedModel) -> String {
    guard let oracle else { return "" }
    let own = oracle.comparisons.first { $0.model == model }
    let score = own?.after[index] ?? oracle.comparisons[0].before[index]
    return String(format: "%.0f / %.0f", score.aesthetics, score.agreement)
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
          ? " The same comparisons chose the checkpoint, which flatters it." : ""))
  }

  private func curve(
    _ title: String, _ key: String, _ lines: [JSON.Object], x: String
  ) -> Chart {
    let points = lines.compactMap { line -> Chart.Point? in
      guard let step = line["step"]?.double, let value = line[key]?.double else { return nil }
      return Chart.Point(x: step, y: value)
    }
    return Chart(
      title: title, x: .init(x), y: .init(key.replacingOccurrences(of: "_", with: " ")),
      series: [.init(key, points: points)])
  }

  private func heldOutChart(_ lines: [JSON.Object]) -> Chart {
    let before = lines.compactMap { $0["held_out_score_before"]?.double }
    var chart = curve(
      "Mean score of held-out prompts", "held_out_score", lines, x: "sampling batch")
    chart.series[0].points.insert(contentsOf: before.map { Chart.Point(x: 0, y: $0) }, at: 0)
    chart.note =
      "By the preference model that the tuning follows, on images of prompts that it does not train on, always "
      + "from the same noise. Batch 0: before tuning."
    return chart
  }

  /// How far the model moves from the one before tuning, at all timesteps and at the outermost ones.
  private func divergenceChart(_ lines: [JSON.Object]) -> Chart {
    func points(_ value: (JSON.Object) -> JSON?) -> [Chart.Point] {
      lines.compactMap { line in
        guard let step = line["step"]?.double, let value = value(line)?.double else { return nil }
        return Chart.Point(x: step, y: value)
      }
    }
    let timesteps = lines.flatMap { line in
      (line["kl_by_timestep"]?.object?.keys ?? []).compactMap { Int($0) }
    }
    let outermost = [timesteps.max(), timesteps.min()].compactMap { $0 }
    return Chart(
      title: "KL divergence from the model before tuning", x: .init("sampling batch"),
      y: .init("nats per element"),
      series: [.init("mean over all steps", points: points { $0["kl"] })]
        + (Set(outermost).count > 1 ? outermost : []).map { timestep in
          .init("timestep \(timestep)", points: points { $0["kl_by_timestep"]?["\(timestep)"] })
        },
      note: "Of the Gaussians that denoising steps draw from, at the latents that were trained on.")
  }

  /// For each compared timestep, the share of prompts whose pair passed the threshold.
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
