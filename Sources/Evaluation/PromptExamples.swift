/// The selection of prompts to show if a score has changed.
public enum PromptExamples {
  /// Returns prompts from the largest gain to the largest loss.
  public static func order(of differences: [Double]) -> [Int] {
    differences.indices.sorted {
      differences[$0] == differences[$1] ? $0 < $1 : differences[$0] > differences[$1]
    }
  }

  /// Returns titles for the best and the worst: if all have gained, the worst is not a loss.
  public static func titles(of differences: [Double]) -> (best: String, worst: String) {
    (
      differences.contains { $0 > 0 } ? "gained most" : "lost least",
      differences.contains { $0 < 0 } ? "lost most" : "gained least"
    )
  }

  /// Returns some prompts without repetitions: those with the largest gains, largest first; the
  /// median ones, from gain to loss; and those with the largest losses, largest first.
  public static func of(
    _ differences: [Double]
  ) -> (best: [Int], median: [Int], worst: [Int]) {
    let order = order(of: differences)
    let count = min(ScoreRow.shown, max(1, order.count / 3), (order.count + 1) / 2)
    let middle = order.dropFirst(count).dropLast(count)
    let start = middle.startIndex + max(0, (middle.count - count) / 2)
    return (
      Array(order.prefix(count)), Array(middle[start...].prefix(count)),
      Array(order.dropFirst(count).reversed().prefix(count))
    )
  }
}
