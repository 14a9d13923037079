import Diffusion
import Evaluation
import Files
import PipelineCore
import Scorers
import StageSupport

/// Scores a report's images by published models, and compares the tuned models with the untuned
/// one.
///
/// - Item: all images of one prompt, by one scorer
final class PublishedScores {
  struct Item {
    /// The index of the scorer among those of the settings.
    let scorer: Int
    let prompt: Int
  }

  /// A tuned model compared with the untuned one: one row per guidance and scorer.
  struct Comparison {
    let model: ReportedModel
    let rows: [ScoreRow]
  }

  private let settings: ReportSettings
  private let models: [ReportedModel]
  private let files: ReportFiles
  /// The current scorer; only one is in memory.
  private var open: (place: Int, scorer: Scorer)?

  init(_ settings: ReportSettings, _ models: [ReportedModel], _ files: ReportFiles) {
    self.settings = settings
    self.models = models
    self.files = files
  }

  private var scorers: [(kind: ScorerKind, path: String)] { NamedScorers(settings.scorers).all }

  /// Returns all images of a prompt, with the files of their scores: a group for each guidance and
  /// model.
  private func groups(
    of item: Item
  ) -> [(scores: String, images: [String])] {
    settings.scales.indices.flatMap { scale in
      models.map { model in
        (
          files.scores(scorers[item.scorer].kind.rawValue, item.prompt, model, scale: scale),
          (0..<settings.picturesPerPrompt).map {
            files.image(item.prompt, $0, model, scale: scale)
          }
        )
      }
    }
  }

  /// Returns the items, scorer by scorer.
  func items(prompts: Int) -> [Item] {
    scorers.indices.flatMap { scorer in (0..<prompts).map { Item(scorer: scorer, prompt: $0) } }
  }

  func isDone(_ item: Item) -> Bool { groups(of: item).allSatisfy { Folders.exists($0.scores) } }

  /// Opens every scorer once, so that an error in the last does not surface hours later.
  func requireReadable() throws {
    for place in scorers.indices { _ = try scorer(place) }
    open = nil
  }

  private func scorer(_ place: Int) throws -> Scorer {
    if let open, open.place == place { return open.scorer }
    open = nil
    let (kind, path) = scorers[place]
    let scorer = try Scorer(kind, path: path, tokenizer: try settings.base.tokenizer())
    open = (place, scorer)
    return scorer
  }

  func scores(of item: Item, prompt: String) throws -> [PromptScores] {
    let scorer = try scorer(item.scorer)
    return try groups(of: item).map { group in
      let contents = try group.images.map { try RegularFile(path: $0).readAll() }
      return try PromptScores.scored(
        group.images, contents: contents, digests: contents.map { SHA256.hexDigest(of: $0) },
        prompt: prompt, by: scorer)
    }
  }

  func write(_ scores: [PromptScores], of item: Item) throws {
    for (group, scores) in zip(groups(of: item), scores) { try scores.write(to: group.scores) }
  }

  /// - Throws: `PipelineError.damaged` if scores do not belong to the images
  func comparisons(prompts: Int) throws -> [Comparison] {
    guard !scorers.isEmpty else { return [] }
    let sets = try scorers.indices.map { scorer in
      try (0..<prompts).reduce(
        into: [ScoreSet](repeating: ScoreSet(), count: settings.scales.count * models.count)
      ) { sets, prompt in
        for (place, group) in groups(of: Item(scorer: scorer, prompt: prompt)).enumerated() {
          let digests = try group.images.map {
            SHA256.hexDigest(of: try RegularFile(path: $0).readAll())
          }
          guard let scores = PromptScores(path: group.scores, of: digests) else {
            throw PipelineError.damaged(
              path: group.scores, reason: "it does not belong to the images in the folder")
          }
          sets[place].append(scores)
        }
      }
    }
    return models.indices.dropFirst().map { model in
      Comparison(
        model: models[model],
        rows: settings.scales.enumerated().flatMap { scale, guidance in
          scorers.indices.map { scorer in
            ScoreRow(
              scorers[scorer].kind, guidance: guidance,
              sets[scorer][scale * models.count + model],
              against: sets[scorer][scale * models.count])
          }
        })
    }
  }
}
