/// The rate at which one side's image scores higher than the other's from the same noise.
///
/// A prompt's share of won pairs is one value, a tie half a win; the rate is the mean over prompts. The
/// interval is Wilson's score interval, which stays within 0...1 and keeps a width where a side wins
/// everywhere (a bootstrap over prompts would then claim certainty). Pairs of one prompt are alike, so
/// the interval is that of as many independent pairs as give the variance that the prompts' shares have:
/// at least the prompts, at most all pairs. With one pair a prompt it is Wilson's own.
///
/// - Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Kish
///   1965, "Survey Sampling", for the effective number
public struct WinRate: Equatable, Sendable {
  public let rate: Double
  /// At 95 % confidence.
  public let interval: ClosedRange<Double>
  /// Pairs of images.
  public let wins: Int
  public let ties: Int
  public let losses: Int

  /// - Parameter differences: for each prompt that of each pair of images; at least one prompt, and at
  ///   least one pair for each
  public init(_ differences: [[Double]]) {
    precondition(
      !differences.isEmpty && differences.allSatisfy { !$0.isEmpty }, "the win rate of no pairs")
    let all = differences.joined()
    wins = all.count { $0 > 0 }
    ties = all.count { $0 == 0 }
    losses = all.count - wins - ties
    let shares = differences.map { pairs in
      pairs.reduce(0) { $0 + ($1 > 0 ? 1 : $1 == 0 ? 0.5 : 0) } / Double(pairs.count)
    }
    let count = Double(shares.count)
    let rate = shares.reduce(0, +) / count
    self.rate = rate
    let variance = shares.reduce(0) { $0 + ($1 - rate) * ($1 - rate) } / count
    let effective =
      variance > 0
      ? min(max(count * rate * (1 - rate) / variance, count), Double(all.count))
      : rate == 0 || rate == 1 ? count : Double(all.count)
    interval = Self.wilson(rate: rate, count: effective)
  }

  private static func wilson(rate: Double, count: Double) -> ClosedRange<Double> {
    let z = 1.959_963_984_540_054
    let centre = rate + z * z / (2 * count)
    let margin = z * (rate * (1 - rate) / count + z * z / (4 * count * count)).squareRoot()
    let scale = 1 + z * z / count
    // Rounding must not put a rate of 0 or 1 outside.
    return max(
      0, min(rate, (centre - margin) / scale))...min(
        1, max(rate, (centre + margin) / scale))
  }
}
