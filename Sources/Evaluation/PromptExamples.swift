/// Which prompts to look at where a score has changed.
public enum PromptExamples {
  /// Prompts from the one that gained most to the one that lost most.
  public static func order(of differences: [Double]) -> [Int] {
    differences.indices.sorted {
      differences[$0] == differences[$1] ? $0 < $1 : differences[$0] > differences[$1]
    }
  }

  /// What to call the best and the worst: where all have gained, none has lost most.
  public static func titles(of differences: [Double]) -> (best: String, worst: String) {
    (
      differences.contains { $0 > 0 } ? "gained most" : "lost least",
      differences.contains { $0 < 0 } ? "lost most" : "gained least"
    )
  }

  /// Some prompts, none twice: those that gained most, the first one most; those in the middle, from gain to
  /// loss; and those that lost most, the first one most.
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
