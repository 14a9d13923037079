import Evaluation
import Foundation
import ProceduralWorld
import Reporting
import StageSupport

extension ReportPage {
  /// The first prompts, all others as links, and those that an oracle's scores single out.
  func pictureSections() throws -> [ReportSection] {
    var blocks: [ReportBlock] = []
    if oracle != nil { blocks.append(.text(Self.oracleExplanation)) }
    if let lora = settings.negativeLora {
      blocks.append(
        .text("Guidance steers the tuned images away from what the LoRA \(lora) makes."))
    }
    if settings.shownPrompts > 0 {
      let shown = prompts.indices.prefix(settings.shownPrompts)
      blocks.append(
        .pictures(try grid(Array(shown), pictures: min(2, settings.picturesPerPrompt), models)))
    }
    blocks += settings.scales.indices.map { .pictureList(list($0)) }
    let examples = try scored.isEmpty ? oracle?.comparisons.flatMap(oracleExamples) : nil
    return [ReportSection("Before and after", blocks)] + (examples ?? [])
  }

  private static let oracleExplanation =
    "Below each image are the scores of the built-in world's oracle, 0 to 100: how well the image follows "
    + "the world's rules, and how well it matches the prompt."

  /// The prompts that gained most, those in the middle and those that lost most by the oracle.
  private func oracleExamples(_ comparison: OracleComparison) throws -> [ReportSection] {
    let of = models.count > 2 ? "\(comparison.model.name): " : ""
    let (best, median, worst) = PromptExamples.of(comparison.aesthetics.differences)
    let titles = PromptExamples.titles(of: comparison.aesthetics.differences)
    return try [
      ("\(of)prompts that \(titles.best) in aesthetics", best),
      ("\(of)prompts with median change in aesthetics", median),
      ("\(of)prompts that \(titles.worst) in aesthetics", worst),
    ].filter { !$0.1.isEmpty }.map { title, numbers in
      ReportSection(
        title.prefix(1).uppercased() + title.dropFirst(),
        [.pictures(try grid(numbers, pictures: 1, [models[0], comparison.model]))])
    }
  }

  /// - Parameters:
  ///   - numbers: of the prompts
  ///   - pictures: of each prompt
  private func grid(
    _ numbers: [Int], pictures: Int, _ models: [ReportedModel]
  ) throws -> PictureGrid {
    PictureGrid(
      cards: try numbers.map { number in
        PictureGrid.Card(
          prompt: prompts[number],
          sets: try (0..<pictures).map { picture in
            try models.map { model in
              PictureGrid.Shot(
                model.name, png: try self.picture(number, picture, model, 0),
                note: note(number * settings.picturesPerPrompt + picture, model))
            } + (try besidePictures(number, picture))
          })
      })
  }

  /// Those of other runs that drew the same prompts from the same noise.
  private func besidePictures(_ prompt: Int, _ picture: Int) throws -> [PictureGrid.Shot] {
    guard let own = variants.first else { return [] }
    return try variants.dropFirst().filter { try $0.drewTheSame(as: own) }.flatMap {
      try $0.pictures(prompt, picture)
    }
  }

  /// One score a line.
  private func note(_ index: Int, _ model: ReportedModel) -> String {
    guard let oracle else { return "" }
    let own = oracle.comparisons.first { $0.model == model }
    let score = own?.after[index] ?? oracle.comparisons[0].before[index]
    return String(
      format: "aesthetics %.0f\nprompt %.0f", score.aesthetics, score.agreement)
  }

  /// Every picture at one guidance.
  private func list(_ scale: Int) -> PictureList {
    let count = prompts.count * settings.picturesPerPrompt * models.count
    let guidance = settings.scales.count > 1 ? ", guidance \(settings.scales[scale])" : ""
    return PictureList(
      caption: "All \(count) images\(guidance)",
      rows: prompts.enumerated().map { number, prompt in
        PictureList.Row(
          prompt: prompt,
          sets: (0..<settings.picturesPerPrompt).map { picture in
            models.map { model in
              PictureList.Link(
                "\(model.name) \(picture + 1)",
                file: files.relativePicture(number, picture, model, scale: scale))
            }
          })
      })
  }

  /// What a tuning stage drew as it learned.
  func trainingBlocks(_ pictures: TrainingPictures?, stage: String) -> [ReportBlock] {
    guard let pictures else { return [] }
    let address = "../\(stage)/pictures"
    let grid = pictures.grid(
      count: Self.shownRows, address: address,
      caption: "The first held-out prompts during training, always from the same noise")
    guard let grid else { return [] }
    guard pictures.rows.count > Self.shownRows else { return [.pictures(grid)] }
    return [
      .pictures(grid),
      .pictureList(
        PictureList(
          caption: "All \(pictures.rows.count) checkpoints",
          rows: [
            .init(
              prompt: "",
              sets: [pictures.rows.map { .init($0.label, file: "\(address)/\($0.name)") }])
          ])),
    ]
  }

  /// Of training pictures.
  private static let shownRows = 8
}
