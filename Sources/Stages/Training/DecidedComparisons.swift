import Catalog
import Shards

extension ComparisonData {
  /// The comparisons that are no ties.
  ///
  /// - Throws: ``NothingLearned`` if none teaches a preference
  func decidedPairs() throws -> [Int] {
    try requireDecidedPairs()
    return try (0..<pairCount).filter { number in
      let pair = try pair(number)
      return pair.label0 != pair.label1
    }
  }

  /// Looks no further than to the first comparison that teaches a preference.
  ///
  /// - Throws: ``NothingLearned`` if none does
  func requireDecidedPairs() throws {
    var labels = LabelCounts()
    for number in 0..<pairCount {
      let pair = try pair(number)
      labels.add(Double(pair.label0), Double(pair.label1))
      guard pair.label0 == pair.label1 || pair.image0 == pair.image1 else { return }
    }
    try labels.requireDecided()
    throw NothingLearned(
      reason: "all \(labels.decided) training comparisons that are no ties compare an image with "
        + "itself, which teaches no preference; add comparisons with a preferred image to "
        + "ingest.source")
  }
}
