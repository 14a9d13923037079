/// Byte-pair encoding over token ids: the merge with the lowest rank first, the leftmost among
/// equals.
///
/// A word of n bytes takes O(n log n) steps in the worst case.
///
/// Source: Sennrich et al. 2016, arXiv 1508.07909; over bytes as in GPT-2.
struct BytePairEncoder: Equatable, Sendable {
  struct Pair: Hashable {
    let left: Int32
    let right: Int32
  }
  struct Merge: Equatable {
    let rank: Int32
    let token: Int32
  }

  /// The tokens of the 256 bytes within a word.
  let innerBytes: [Int32]
  /// The tokens of the 256 bytes at the end of a word.
  let finalBytes: [Int32]
  let merges: [Pair: Merge]

  /// Appends the tokens of one word.
  func append(_ word: [UInt8], to tokens: inout [Int32]) {
    guard let last = word.last else { return }
    var symbols = word.dropLast().map { innerBytes[Int($0)] }
    symbols.append(finalBytes[Int(last)])
    guard symbols.count > 1 else { return tokens.append(symbols[0]) }

    // A linked list of indices: a merged symbol stays at the position of its left half.
    var next = Array(1...symbols.count)
    var previous = Array(-1..<symbols.count - 1)
    var candidates = CandidateHeap()
    func consider(_ left: Int, _ right: Int) {
      let pair = Pair(left: symbols[left], right: symbols[right])
      guard let merge = merges[pair] else { return }
      candidates.insert(.init(rank: merge.rank, left: Int32(left), pair: pair, token: merge.token))
    }
    for left in 0..<symbols.count - 1 { consider(left, left + 1) }

    while let candidate = candidates.removeFirst() {
      let left = Int(candidate.left)
      let right = next[left]
      // Stale once either half has been merged with another neighbour.
      guard right < symbols.count, symbols[left] == candidate.pair.left,
        symbols[right] == candidate.pair.right
      else { continue }
      symbols[left] = candidate.token
      symbols[right] = Self.merged
      next[left] = next[right]
      if next[left] < symbols.count {
        previous[next[left]] = left
        consider(left, next[left])
      }
      if previous[left] >= 0 { consider(previous[left], left) }
    }
    tokens.append(contentsOf: symbols.lazy.filter { $0 != Self.merged })
  }

  /// Marks a position whose symbol was merged into its left neighbour.
  private static let merged: Int32 = -1
}

/// A merge that was possible when it was found.
private struct Candidate: Comparable {
  let rank: Int32
  let left: Int32
  let pair: BytePairEncoder.Pair
  let token: Int32

  static func < (a: Candidate, b: Candidate) -> Bool { (a.rank, a.left) < (b.rank, b.left) }
}

/// A binary heap with the next merge at its root.
private struct CandidateHeap {
  private var elements: [Candidate] = []

  mutating func insert(_ candidate: Candidate) {
    elements.append(candidate)
    var child = elements.count - 1
    while child > 0, elements[child] < elements[(child - 1) / 2] {
      elements.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() -> Candidate? {
    guard let first = elements.first, let last = elements.popLast() else { return nil }
    guard !elements.isEmpty else { return first }
    elements[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < elements.count && elements[child] < elements[least] { least = child }
      guard least != parent else { return first }
      elements.swapAt(parent, least)
      parent = least
    }
  }
}
