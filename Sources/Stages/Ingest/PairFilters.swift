import Catalog

/// The filters that look at several rows together, applied when all rows are in.
struct PairFilters {
  private let settings: IngestSettings

  init(_ settings: IngestSettings) { self.settings = settings }

  /// Moves the pairs that are left out to the rejects; a second call changes nothing.
  func apply(to catalog: CatalogDatabase) throws {
    guard settings.onlyOnBest || settings.maxPerPrompt != nil else { return }
    var rejects: [CatalogDatabase.PairReject] = []
    for (split, _) in try catalog.pairCounts() {
      try catalog.forEachPromptGroup(inSplit: split) { group in
        var kept = group.pairs
        if settings.onlyOnBest {
          let winners = FinalWinners(kept)
          rejects += kept.filter { !winners.isWon($0) }.map {
            .init(
              pair: $0.id, code: RowFault.filterPrefix + "not-best",
              reason: "its winner is not the prompt's final one, or the comparisons form a circle")
          }
          kept = kept.filter(winners.isWon)
        }
        if let limit = settings.maxPerPrompt {
          rejects += kept.dropFirst(limit).map {
            .init(
              pair: $0.id, code: RowFault.filterPrefix + "many-per-prompt",
              reason: "the prompt has \(limit) rows before it")
          }
        }
      }
    }
    try catalog.rejectPairs(rejects, stage: Ingest.name)
  }
}

/// Where each image's way from loser to winner ends, among the comparisons of one prompt.
struct FinalWinners {
  /// From an image that lost to the one that it lost to, last.
  private var winners: [String: String] = [:]

  init(_ pairs: [PairRecord]) {
    for pair in pairs {
      guard let result = Self.result(of: pair) else { continue }
      winners[result.loser] = result.winner
    }
  }

  /// Whether the pair's winner is the last of its chain; false for ties and circles.
  func isWon(_ pair: PairRecord) -> Bool {
    Self.result(of: pair).map { final(from: $0.loser) == $0.winner } ?? false
  }

  private func final(from loser: String) -> String? {
    var image = loser
    for _ in 0...winners.count {
      guard let winner = winners[image] else { return image }
      image = winner
    }
    return nil
  }

  private static func result(of pair: PairRecord) -> (winner: String, loser: String)? {
    if pair.label0 == 1, pair.label1 == 0 { return (pair.image0.uid, pair.image1.uid) }
    if pair.label0 == 0, pair.label1 == 1 { return (pair.image1.uid, pair.image0.uid) }
    return nil
  }
}
