import Catalog
import Files

/// The number of rows without pairs, and the reasons: faulty rows apart from filtered ones.
struct RejectionSummary {
  private let counts: [(code: String, count: Int)]

  init(_ counts: [String: Int]) {
    self.counts = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Phrases such as `3 rejected` and `20 filtered out`.
  var phrases: [String] { phrases { _ in "" } }

  /// The same with the number of each reason.
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
