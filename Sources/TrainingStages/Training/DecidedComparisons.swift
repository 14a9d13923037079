import Shards
import StageSupport

extension ComparisonData {
  /// Returns the comparisons that are not ties.
  ///
  /// - Throws: ``NothingLearned`` if none teaches a preference
  func decidedPairs() throws -> [Int] {
    try requireDecidedPairs()
    return try (0..<pairCount).filter { number in
      let pair = try pair(number)
      return pair.label0 != pair.label1
    }
  }

  /// Requires a comparison that teaches a preference; stops at the first.
  ///
  /// - Throws: ``NothingLearned`` if there is none
  func requireDecidedPairs() throws {
    var (decided, ties, unlabelled) = (0, 0, 0)
    for number in 0..<pairCount {
      let pair = try pair(number)
      if pair.label0 != pair.label1 {
        guard pair.image0 == pair.image1 else { return }
        decided += 1
      } else if pair.label0 == 0 {
        unlabelled += 1
      } else {
        ties += 1
      }
    }
    guard decided > 0 else { throw NothingLearned.noneDecided(ties: ties, unlabelled: unlabelled) }
    throw NothingLearned.allAlike(decided)
  }
}
