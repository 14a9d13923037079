import Shards

extension ComparisonData {
  /// The comparisons that teach a preference.
  ///
  /// - Throws: ``NothingLearned`` if none does
  func decidedPairs() throws -> [Int] {
    let remedy = "add comparisons with a preferred image to ingest.source"
    let decided = try (0..<pairCount).filter { number in
      let pair = try pair(number)
      return pair.label0 != pair.label1
    }
    guard !decided.isEmpty else {
      throw NothingLearned(
        reason:
          "all \(pairCount) training comparisons are ties, which teach no preference; \(remedy)")
    }
    let differs = try decided.contains { number in
      let pair = try pair(number)
      return pair.image0 != pair.image1
    }
    guard differs else {
      throw NothingLearned(
        reason: "all \(decided.count) training comparisons that are no ties compare an image with "
          + "itself, which teaches no preference; \(remedy)")
    }
    return decided
  }
}
