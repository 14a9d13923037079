import Catalog
import Files

/// The filters that consider several rows together, applied once all rows are in.
struct PairFilters {
  private let settings: IngestSettings

  init(_ settings: IngestSettings) { self.settings = settings }

  /// Moves filtered pairs to the rejects, and replaces winners by final ones; a second call changes
  /// nothing.
  ///
  /// As published, `max_per_prompt` counts first, and `only_on_best` affects only what is trained
  /// on.
  func apply(to catalog: CatalogDatabase) throws {
    guard settings.onlyOnBest || settings.maxPerPrompt != nil else { return }
    var rejections: [CatalogDatabase.PairRejection] = []
    var replacements: [CatalogDatabase.ImageReplacement] = []
    for (split, _) in try catalog.pairCounts() {
      try catalog.forEachPromptGroup(inSplit: split) { group in
        var kept = group.pairs[...]
        if let limit = settings.maxPerPrompt {
          rejections += kept.dropFirst(limit).map {
            .init(
              pair: $0.id, code: RejectionCode.filterPrefix + "many-per-prompt",
              reason: "the prompt already has \(Spelled.count(limit, of: "rows"))")
          }
          kept = kept.prefix(limit)
        }
        guard settings.onlyOnBest, split == "train" else { return }
        let rankings = Dictionary(grouping: kept, by: \.rankingID)
          .sorted { $0.key ?? .min < $1.key ?? .min }
        for (_, ranking) in rankings {
          let winners = FinalWinners(ranking)
          for pair in ranking {
            switch winners.verdict(on: pair) {
            case .kept: break
            case .replaced(let side, let image):
              replacements.append(.init(pair: pair.id, side: side, image: image))
            case .dropped(let reason):
              rejections.append(
                .init(
                  pair: pair.id, code: RejectionCode.filterPrefix + "not-best", reason: reason))
            }
          }
        }
      }
    }
    try catalog.replaceImages(replacements)
    try catalog.rejectPairs(rejections, stage: Ingest.name)
  }
}

/// The end of each image's path from loser to winner, among the comparisons of one ranking.
///
/// The winner stays in a ranking and the loser is replaced, so an image that won early may lose later.
///
/// - Source: `only_on_best` of the published trainer, pick_a_pic_spm_dataset.py
struct FinalWinners {
  /// The effect on a comparison.
  enum Verdict: Equatable {
    /// Its winner is the final one.
    case kept
    /// An image replaces the one on this side, 0 or 1.
    case replaced(side: Int, image: Int)
    case dropped(String)
  }

  /// From the id of each losing image to the id of its winner.
  private var winners: [Int: Int] = [:]

  init(_ pairs: [PairRecord]) {
    // If an image lost to several, the last one counts, those on the left taking precedence over
    // those on the right.
    for side in [1, 0] {
      for pair in pairs where Self.winningSide(of: pair) == side {
        let images = [pair.image0.id, pair.image1.id]
        winners[images[1 - side]] = images[side]
      }
    }
  }

  func verdict(on pair: PairRecord) -> Verdict {
    guard let side = Self.winningSide(of: pair) else {
      return .dropped("it has no winner")
    }
    let images = [pair.image0.id, pair.image1.id]
    guard final(from: images[side]) != nil, let best = final(from: images[1 - side]) else {
      return .dropped("its comparisons form a cycle, so no image is the best")
    }
    return best == images[side] ? .kept : .replaced(side: side, image: best)
  }

  /// Returns the image at the end of the path; nil if it is a cycle.
  private func final(from loser: Int) -> Int? {
    var image = loser
    for _ in 0...winners.count {
      guard let winner = winners[image] else { return image }
      image = winner
    }
    return nil
  }

  private static func winningSide(of pair: PairRecord) -> Int? {
    if pair.label0 == 1, pair.label1 == 0 { return 0 }
    if pair.label0 == 0, pair.label1 == 1 { return 1 }
    return nil
  }
}
