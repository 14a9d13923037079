import Evaluation
import Foundation
import Reporting
import Scorers

extension ReportPage {
  /// Returns the published scores, the drift of the LoRAs, and the prompts with the largest gains
  /// and losses and median ones.
  func scoreSections() throws -> [ReportSection] {
    var blocks: [ReportBlock] = []
    for comparison in scored {
      let table = ScoreTable(comparison.rows, model: comparison.model.name, against: "before")
      blocks.append(.table(table.report))
    }
    if !blocks.isEmpty { blocks.append(.text(Self.explanation)) }
    blocks.append(.table(driftTable))
    blocks += scored.flatMap { comparison in
      comparison.rows.map { .table(promptTable($0, comparison.model)) }
    }
    var sections = [ReportSection(scored.isEmpty ? "Drift" : "Published scores", blocks)]
    // By the first scorer: others would select other prompts, and the page grows with each.
    for comparison in scored {
      for (scale, guidance) in settings.scales.enumerated() {
        guard let row = comparison.rows.first(where: { $0.guidance == guidance }) else { continue }
        sections += try examples(row, comparison.model, scale)
      }
    }
    return sections
  }

  private static let explanation =
    "Means over prompts; the images of a prompt are averaged first. Both models generated every image from "
    + "the same noise. The intervals are for the mean difference, and for the share of images that "
    + "score higher than before, over prompts like these. An interval that contains 0, or 50 %, means that "
    + "this many prompts cannot tell the two models apart. Diversity is the mean distance (1 - cosine) "
    + "under CLIP between images of one prompt: a score that rises while it falls is a sign of "
    + "over-optimization."

  private var driftTable: ReportTable {
    ReportTable(
      caption: "Drift from the base model",
      columns: ["LoRA", "norm of the change", "fraction of the weights' norm"],
      rows: drifts.map {
        [
          $0.model.name, String(format: "%.4g", $0.norm),
          String(format: "%.3g %%", 100 * $0.share),
        ]
      }, numberColumns: [1, 2])
  }

  /// Returns the scores of every prompt.
  private func promptTable(_ row: ScoreRow, _ model: ReportedModel) -> ReportTable {
    let decimals = row.scorer.decimals
    let differences = row.comparison?.differences ?? []
    return ReportTable(
      caption: "\(row.scorer.rawValue) of each prompt, guidance \(row.guidance), \(model.name)",
      columns: ["prompt", "before", model.name, "difference"],
      rows: zip(prompts, zip(row.promptMeans, differences)).map { prompt, scores in
        [
          prompt, decimalText(scores.0 - scores.1, decimals: decimals),
          decimalText(scores.0, decimals: decimals),
          decimalText(scores.1, decimals: decimals, signed: true),
        ]
      }, numberColumns: [1, 2, 3], isFolded: true)
  }

  private func examples(
    _ row: ScoreRow, _ model: ReportedModel, _ scale: Int
  ) throws -> [ReportSection] {
    guard let comparison = row.comparison else { return [] }
    let title = "\(row.scorer.rawValue), guidance \(row.guidance)"
    let of = models.count > 2 ? "\(model.name): " : ""
    let (best, median, worst) = comparison.examples
    let titles = PromptExamples.titles(of: comparison.differences)
    return try [
      ("\(of)prompts that \(titles.best) by \(title)", best),
      ("\(of)prompts with median change by \(title)", median),
      ("\(of)prompts that \(titles.worst) by \(title)", worst),
    ].filter { !$0.1.isEmpty }.map { title, numbers in
      ReportSection(
        title.prefix(1).uppercased() + title.dropFirst(),
        [
          .images(
            ImageGrid(
              cards: try numbers.map { number in
                ImageGrid.Card(
                  prompt: prompts[number],
                  shots: try [
                    (models[0], row.promptMeans[number] - comparison.differences[number]),
                    (model, row.promptMeans[number]),
                  ].map { model, score in
                    ImageGrid.Shot(
                      model.name, png: try image(number, 0, model, scale),
                      note: decimalText(score, decimals: row.scorer.decimals))
                  })
              }))
        ])
    }
  }
}
