import Evaluation
import Foundation
import ProceduralWorld
import Reporting
import StageSupport

extension ReportPage {
  /// Returns the first prompts, all others as links, and those that an oracle's scores single out.
  func imageSections() throws -> [ReportSection] {
    var blocks: [ReportBlock] = []
    if oracle != nil { blocks.append(.text(Self.oracleExplanation)) }
    if let lora = settings.negativeLora {
      blocks.append(
        .text("Guidance steers the tuned images away from what the LoRA \(lora) makes."))
    }
    if settings.shownPrompts > 0 {
      let shown = prompts.indices.prefix(settings.shownPrompts)
      blocks.append(
        .images(try grid(Array(shown), images: min(2, settings.picturesPerPrompt), models)))
    }
    blocks += settings.scales.indices.map { .imageList(list($0)) }
    let examples = try scored.isEmpty ? oracle?.comparisons.flatMap(oracleExamples) : nil
    return [ReportSection("Before and after", blocks)] + (examples ?? [])
  }

  private static let oracleExplanation =
    "Below each image are the scores of the built-in world's oracle, 0 to 100: how well the image follows "
    + "the world's rules, and how well it matches the prompt."

  /// Returns the prompts with the largest gains, the median ones and those with the largest losses
  /// by the oracle.
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
        [.images(try grid(numbers, images: 1, [models[0], comparison.model]))])
    }
  }

  /// - Parameters:
  ///   - numbers: the indices of the prompts
  ///   - images: the number of images per prompt
  private func grid(
    _ numbers: [Int], images: Int, _ models: [ReportedModel]
  ) throws -> ImageGrid {
    ImageGrid(
      cards: try numbers.map { number in
        ImageGrid.Card(
          prompt: prompts[number],
          sets: try (0..<images).map { image in
            try models.map { model in
              ImageGrid.Shot(
                model.name, png: try self.image(number, image, model, 0),
                note: note(number * settings.picturesPerPrompt + image, model))
            } + (try imagesOfOtherRuns(number, image))
          })
      })
  }

  /// Returns the images of other runs from the same prompts and noise.
  private func imagesOfOtherRuns(_ prompt: Int, _ image: Int) throws -> [ImageGrid.Shot] {
    guard let own = variants.first else { return [] }
    return try variants.dropFirst().filter { try $0.drewTheSame(as: own) }.flatMap {
      try $0.images(prompt, image)
    }
  }

  /// Returns one score per line.
  private func note(_ index: Int, _ model: ReportedModel) -> String {
    guard let oracle else { return "" }
    let own = oracle.comparisons.first { $0.model == model }
    let score = own?.after[index] ?? oracle.comparisons[0].before[index]
    return String(
      format: "aesthetics %.0f\nprompt %.0f", score.aesthetics, score.agreement)
  }

  /// Returns every image at one guidance.
  private func list(_ scale: Int) -> ImageList {
    let count = prompts.count * settings.picturesPerPrompt * models.count
    let guidance = settings.scales.count > 1 ? ", guidance \(settings.scales[scale])" : ""
    return ImageList(
      caption: "All \(count) images\(guidance)",
      rows: prompts.enumerated().map { number, prompt in
        ImageList.Row(
          prompt: prompt,
          sets: (0..<settings.picturesPerPrompt).map { image in
            models.map { model in
              ImageList.Link(
                "\(model.name) \(image + 1)",
                file: files.relativePath(number, image, model, scale: scale))
            }
          })
      })
  }

  /// Returns images that a tuning stage generated during training.
  func trainingBlocks(_ images: TrainingImages?, stage: String) -> [ReportBlock] {
    guard let images else { return [] }
    let address = "../\(stage)/pictures"
    let grid = images.grid(
      count: Self.shownRows, address: address,
      caption: "The first held-out prompts during training, always from the same noise")
    guard let grid else { return [] }
    guard images.rows.count > Self.shownRows else { return [.images(grid)] }
    return [
      .images(grid),
      .imageList(
        ImageList(
          caption: "All \(images.rows.count) checkpoints",
          rows: [
            .init(
              prompt: "",
              sets: [images.rows.map { .init($0.label, file: "\(address)/\($0.name)") }])
          ])),
    ]
  }

  /// The number of rows of training images.
  private static let shownRows = 8
}
