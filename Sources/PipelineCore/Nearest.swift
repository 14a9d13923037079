/// Returns the candidate that `word` most likely misspells, or nil if none is close.
///
/// Close means that at most a third of its letters differ, counting insertions, deletions,
/// substitutions and swaps of neighbours (restricted Damerau-Levenshtein distance).
///
/// - Parameter distance: the maximum distance
public func nearest(
  to word: String, in candidates: [String], within distance: Int = .max
) -> String? {
  let scored = candidates.map { (candidate: $0, distance: editDistance(word, $0)) }
  guard let best = scored.min(by: { $0.distance < $1.distance }) else { return nil }
  let limit = max(1, max(word.count, best.candidate.count) / 3)
  return best.distance <= min(limit, distance) ? best.candidate : nil
}

/// Returns the candidate that `name` most likely stands for, or nil: one with that other name, one
/// with that prefix, one with a similar spelling, or one that is a prefix of it up to the end of a
/// word.
///
/// - Parameter otherNames: other names of the candidates; the first candidate that exists is meant
public func likeliest(
  _ name: String, in candidates: [String], otherNames: [String: [String]] = [:]
) -> String? {
  let plain = name.lowercased().replacing("_", with: "-")
  if let same = candidates.first(where: { $0 == plain }) { return same }
  if let other = otherNames[plain]?.first(where: candidates.contains) { return other }
  let longer = candidates.filter { plain.count > 2 && $0.hasPrefix(plain) }
  if longer.count == 1 { return longer[0] }
  return nearest(to: plain, in: candidates, within: 2)
    ?? candidates.filter { plain.hasPrefix("\($0)-") }.max { $0.count < $1.count }
    ?? nearest(to: plain, in: candidates)
}

private func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first)
  let b = Array(second)
  guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
  var beforeLast = [Int](repeating: 0, count: b.count + 1)
  var last = Array(0...b.count)
  for i in 1...a.count {
    var row = [i] + [Int](repeating: 0, count: b.count)
    for j in 1...b.count {
      let substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
      row[j] = min(last[j] + 1, row[j - 1] + 1, substitution)
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
        row[j] = min(row[j], beforeLast[j - 2] + 1)
      }
    }
    beforeLast = last
    last = row
  }
  return last[b.count]
}
