import Files
import Foundation
import ProceduralWorld

/// The agreement of the preference model with the oracle on the order of candidates from one noisy
/// latent, at one step.
struct CandidateOrder {
  let timestep: Int
  /// All pairs of candidates that the oracle distinguishes.
  let all: Share
  /// The best and the worst by score, if the step would have recorded them.
  let recorded: Share

  /// A fraction of pairs, with its standard error over prompts: pairs of one prompt are not
  /// independent.
  struct Share {
    var pairs = 0
    var value = 0.0
    var standardError = 0.0

    /// - Parameter prompts: for each prompt the number of pairs and of agreements
    init(_ prompts: [(pairs: Int, agreeing: Int)]) {
      let present = prompts.filter { $0.pairs > 0 }
      pairs = present.reduce(0) { $0 + $1.pairs }
      guard pairs > 0 else { return }
      value = Double(present.reduce(0) { $0 + $1.agreeing }) / Double(pairs)
      // The variance of a ratio estimator over clusters.
      let square = present.reduce(0.0) { sum, prompt in
        let residual = Double(prompt.agreeing) - value * Double(prompt.pairs)
        return sum + residual * residual
      }
      let count = Double(present.count)
      standardError = (square * count / max(1, count - 1)).squareRoot() / Double(pairs)
    }

    var json: JSON {
      [
        "pairs": .integer(pairs), "share": .number(value),
        "standard_error": .number(standardError),
      ]
    }
  }

  /// Returns the agreement at all steps, the first step first.
  ///
  /// - Parameter utility: combines the oracle's two scores into one
  static func all(
    _ scoredCandidates: [CandidateScoring.ScoredCandidates], _ utility: Utility
  ) -> [CandidateOrder] {
    Dictionary(grouping: scoredCandidates, by: \.timestep).sorted { $0.key > $1.key }
      .map { timestep, scoredCandidates in
        let byPrompt = Dictionary(grouping: scoredCandidates, by: \.prompt).sorted {
          $0.key < $1.key
        }
        let prompts = byPrompt.map { _, draws in
          draws.map { count($0, utility) }
        }
        return CandidateOrder(
          timestep: timestep, all: Share(prompts.map { total($0.map(\.all)) }),
          recorded: Share(prompts.map { total($0.map(\.recorded)) }))
      }
  }

  private typealias Count = (pairs: Int, agreeing: Int)

  private static func total(_ counts: [Count]) -> Count {
    counts.reduce((0, 0)) { ($0.pairs + $1.pairs, $0.agreeing + $1.agreeing) }
  }

  private static func count(
    _ candidates: CandidateScoring.ScoredCandidates, _ utility: Utility
  ) -> (all: Count, recorded: Count) {
    let scores = candidates.scores
    let utilities = zip(candidates.aesthetics, candidates.agreement).map {
      utility(OracleScore(aesthetics: $0, agreement: $1))
    }
    func compared(_ a: Int, _ b: Int) -> Count {
      guard utilities[a] != utilities[b], scores[a] != scores[b] else { return (0, 0) }
      return (1, (utilities[a] > utilities[b]) == (scores[a] > scores[b]) ? 1 : 0)
    }
    var all: Count = (0, 0)
    for a in scores.indices {
      for b in scores.indices where b > a {
        let pair = compared(a, b)
        all = (all.pairs + pair.pairs, all.agreeing + pair.agreeing)
      }
    }
    guard let best = scores.indices.max(by: { scores[$0] < scores[$1] }),
      let worst = scores.indices.min(by: { scores[$0] < scores[$1] }),
      tanh((scores[best] - scores[worst]) / 2) > candidates.threshold
    else { return (all, (0, 0)) }
    return (all, compared(best, worst))
  }

  var json: JSON { ["timestep": .integer(timestep), "all": all.json, "recorded": recorded.json] }
}
