import Glibc
import RandomStreams

/// A generic preference: how much people of the world like an image, all in all.
///
///     U = (a / sd(a) + g / sd(g)) / 2
///
/// with the oracle's aesthetics a and agreement g. No label says which of the two decided.
public struct Utility: Equatable, Sendable {
  /// The factor 1 / (2 sd(a)).
  public var perAesthetics: Double
  /// The factor 1 / (2 sd(g)).
  public var perAgreement: Double

  /// The utility whose terms have the standard deviations that they have over `scores`.
  ///
  /// A score that is the same everywhere counts nothing.
  public init(scores: [OracleScore]) {
    let aesthetics = standardDeviation(scores.map(\.aesthetics))
    let agreement = standardDeviation(scores.map(\.agreement))
    perAesthetics = aesthetics > 0 ? 0.5 / aesthetics : 0
    perAgreement = agreement > 0 ? 0.5 / agreement : 0
  }

  public func callAsFunction(_ score: OracleScore) -> Double {
    perAesthetics * score.aesthetics + perAgreement * score.agreement
  }
}

/// The preferred one of two images.
public enum Preference: Equatable, Sendable {
  case first, second, tie
}

/// Labels of the Bradley-Terry model with ties.
public struct PreferenceLabels: Sendable {
  /// The weight of utility: the first image wins with probability sigmoid(sharpness (U_0 - U_1)).
  public var sharpness: Double
  /// The share of pairs, in 0..<1, that are ties: those whose noisy margin is smallest.
  public var tieShare: Double

  public init(sharpness: Double = 6, tieShare: Double = 0.12) {
    self.sharpness = sharpness
    self.tieShare = tieShare
  }

  /// Labels pairs by their differences of utility U_0 - U_1.
  ///
  /// A pair's margin is d = sharpness (U_0 - U_1) + logistic noise. It is a tie where |d| is below the
  /// `tieShare` quantile of all |d|; otherwise the sign of d decides.
  public func labels(utilityDifferences: [Double], seed: UInt64) -> [Preference] {
    let margins = utilityDifferences.enumerated().map { index, difference in
      var stream = RandomStream(seed: seed, purpose: "world.preference", item: UInt64(index))
      return sharpness * difference + logistic(stream.uniform())
    }
    return labels(margins: margins)
  }

  /// Labels pairs by their noisy margins.
  package func labels(margins: [Double]) -> [Preference] {
    let tieCount = Int((tieShare * Double(margins.count)).rounded())
    let sorted = margins.map(abs).sorted()
    let threshold = tieCount < sorted.count ? sorted[tieCount] : .infinity
    return margins.map { margin in
      abs(margin) < threshold ? .tie : margin > 0 ? .first : .second
    }
  }

  /// The standard logistic number at a quantile in 0..<1.
  private func logistic(_ quantile: Double) -> Double {
    let inside = max(quantile, 0x1p-54)
    return log(inside / (1 - inside))
  }
}

/// The standard deviation of a population; 0 if it is empty.
private func standardDeviation(_ values: [Double]) -> Double {
  guard !values.isEmpty else { return 0 }
  let mean = values.reduce(0, +) / Double(values.count)
  let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  return (squares / Double(values.count)).squareRoot()
}
