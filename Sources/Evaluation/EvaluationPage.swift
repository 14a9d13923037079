import Files
import Imaging
import Reporting
import Scorers

/// The page of an evaluation: the table, and the prompts with the largest gains and losses and
/// median ones, with their images.
struct EvaluationPage {
  let result: EvaluationResult

  /// The wider side of an image on the page, in pixels; the files have full size.
  private static let side = 512

  func report() throws -> Report {
    let request = result.request
    var sections = [
      ReportSection("Scores", [.table(result.table.report), .text(explanation)])
    ]
    // By the first scorer: others would select other prompts, and the page grows with each.
    for row in result.rows where row.scorer == result.rows.first?.scorer {
      sections += try pairs(row)
    }
    sections.append(
      ReportSection("All images", request.guidance.indices.map { .imageList(list($0)) }))
    let side = request.against.map { " against \($0.text)" } ?? ""
    return Report(
      title: "Evaluation", subtitle: "\(request.model.text)\(side)",
      // No date: the same evaluation gives the same page.
      facts: [
        "\(Spelled.count(request.prompts.entries.count, of: "prompts")) of \(request.prompts.path)",
        "\(Spelled.count(request.imagesPerPrompt, of: "images")) each",
        "\(Spelled.count(request.steps, of: "steps")) of DDIM",
        "eta \(request.eta)", "seed \(request.seed)", "spo \(ProgramVersion.current)",
      ], sections: sections)
  }

  /// Returns every image at one guidance; with two models those of the same noise side by side.
  private func list(_ guidance: Int) -> ImageList {
    let request = result.request
    let sides = Array(zip(result.sets[guidance], ["model", "against"]).reversed())
    let count = request.prompts.entries.count * request.imagesPerPrompt * sides.count
    return ImageList(
      caption: "\(Spelled.count(count, of: "images")), guidance \(request.guidance[guidance])",
      rows: request.prompts.entries.enumerated().map { prompt, entry in
        ImageList.Row(
          prompt: entry.text,
          sets: (0..<request.imagesPerPrompt).map { image in
            sides.map { set, name in
              ImageList.Link("\(name) \(image + 1)", file: set.path(prompt: prompt, image: image))
            }
          })
      })
  }

  private var explanation: String {
    guard result.request.against != nil else {
      return "Means over prompts. The interval is that of the mean over prompts like these."
    }
    return
      "Means over prompts. Both models sampled every image from the same noise. The intervals are "
      + "for the mean difference, and for the share of images that score higher than the other "
      + "model's, over prompts like these. An interval that contains 0, or 50 %, means that the two cannot "
      + "be told apart by this many prompts."
  }

  private func pairs(_ row: ScoreRow) throws -> [ReportSection] {
    guard let comparison = row.comparison,
      let guidance = result.request.guidance.firstIndex(of: row.guidance)
    else { return [] }
    let (best, median, worst) = comparison.examples
    let title = "by \(row.scorer.rawValue), guidance \(row.guidance)"
    let titles = PromptExamples.titles(of: comparison.differences)
    return try [
      ("Prompts that \(titles.best) \(title)", best),
      ("Prompts with median change \(title)", median),
      ("Prompts that \(titles.worst) \(title)", worst),
    ].filter { !$0.1.isEmpty }.map { title, prompts in
      ReportSection(title, [.images(try grid(prompts, guidance))])
    }
  }

  private func grid(_ prompts: [Int], _ guidance: Int) throws -> ImageGrid {
    var isSmall = false
    let cards = try prompts.map { prompt in
      ImageGrid.Card(
        prompt: result.request.prompts.entries[prompt].text,
        shots: try [(1, "against"), (0, "model")].map { side, label in
          let set = result.sets[guidance][side]
          let path = set.fullPath(prompt: prompt, image: 0)
          let image = try RGBImage(decoding: try RegularFile(path: path).readAll())
          isSmall = max(image.width, image.height) < Self.side / 2
          return ImageGrid.Shot(
            label, png: try image.reduced(toLongerEdge: Self.side).encodedAsPNG(),
            note: note(prompt: prompt, guidance: guidance, side: side),
            file: set.path(prompt: prompt, image: 0))
        })
    }
    return ImageGrid(cards: cards, width: isSmall ? 128 : 256, isPixelated: isSmall)
  }

  /// Returns the scores of the first image, one per line.
  private func note(prompt: Int, guidance: Int, side: Int) -> String {
    zip(result.request.scorers, result.scores).map { scorer, scores in
      let score = scores[guidance][side].scores[prompt][0]
      return "\(scorer.kind.rawValue) \(decimalText(score, decimals: scorer.kind.decimals))"
    }.joined(separator: "\n")
  }
}
