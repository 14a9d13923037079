import Catalog
import Files

/// How many rows gave no pair, and why: those with a fault apart from those that filters left out.
struct RejectionSummary {
  private let counts: [(code: String, count: Int)]

  init(_ counts: [String: Int]) {
    self.counts = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Such as `3 rejected` and `20 filtered out`.
  var phrases: [String] { phrases { _ in "" } }

  /// With the number of each reason.
  var detailedPhrases: [String] {
    phrases { rows in
      " (" + rows.map { "\($0.code) \(Spelled.count($0.count))" }.joined(separator: ", ") + ")"
    }
  }

  private func phrases(_ detail: ([(code: String, count: Int)]) -> String) -> [String] {
    [("rejected", false), ("filtered out", true)].compactMap { name, isFiltered in
      let rows = counts.filter { RejectionCode.isFiltered($0.code) == isFiltered && $0.count > 0 }
      guard !rows.isEmpty else { return nil }
      return "\(Spelled.count(rows.reduce(0) { $0 + $1.count })) \(name)\(detail(rows))"
    }
  }
}
