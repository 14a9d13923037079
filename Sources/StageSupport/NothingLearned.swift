package import Files

/// Training that ended without having changed the model, or that could not change it.
package struct NothingLearned: ClassifiedError, CustomStringConvertible {
  /// What was found and what to change.
  package let reason: String
  package let kind = FailureKind.nothingLearned

  package init(reason: String) { self.reason = reason }

  package var description: String { "nothing was learned: \(reason)" }

  /// Every comparison that prefers an image is of an image with itself.
  package static func allAlike(_ decided: Int) -> NothingLearned {
    NothingLearned(
      reason: "all \(decided) training comparisons that are not ties compare an image with "
        + "itself, which teaches no preference; add comparisons with a preferred image to "
        + "ingest.source")
  }

  /// No comparison prefers an image.
  package static func noneDecided(ties: Int, unlabelled: Int) -> NothingLearned {
    let total = ties + unlabelled
    let found =
      switch (ties, unlabelled) {
      case (_, 0): "all \(total) training comparisons are ties, which teach"
      case (0, _): "all \(total) training comparisons are without a label, which teaches"
      default:
        "of \(total) training comparisons \(ties) are ties and \(unlabelled) without a label, which teach"
      }
    return NothingLearned(
      reason: "\(found) no preference; add comparisons with a preferred image to ingest.source")
  }
}
