/// Contradictions between the labels of pairs, by prompt.
struct PromptAudit {
  private let data: AuditedData
  private(set) var findings: [AuditKind: AuditFinding]
  private(set) var pairsPerPrompt: [Int] = []
  private(set) var imagesPerPrompt: [Int] = []
  private(set) var weights: [Double] = []
  private(set) var pairsBySplit: [String: Int] = [:]
  private(set) var annotators: Set<Int> = []
  /// The number of pairs of judgements of one comparison by different annotators, and how many
  /// agree.
  private(set) var judgedTwice = 0
  private(set) var judgedAlike = 0
  /// The splits in which each image occurs, as bits: 1 train, 2 others.
  private(set) var splitsOfImages: [UInt8]

  /// - Parameter isNear: whether two images look the same
  init(_ data: AuditedData, isNear: (Int, Int) -> Bool, twins: (Int) -> [Int]) throws {
    self.data = data
    findings = Dictionary(uniqueKeysWithValues: AuditKind.allCases.map { ($0, AuditFinding($0)) })
    splitsOfImages = Array(repeating: 0, count: data.images.count)
    var splits = splitsOfImages
    var prompts: [String: (splits: UInt8, spellings: Int)] = [:]
    try data.forEachPrompt { _, text, pairs in
      prompts[Self.normalized(text), default: (0, 0)].spellings += 1
      for pair in pairs {
        for image in pair.images { splits[image] |= Self.bit(pair.split) }
        prompts[Self.normalized(text)]?.splits |= Self.bit(pair.split)
      }
    }
    splitsOfImages = splits
    // Pairs of prompts that are spelled in several ways, grouped together.
    var together: [String: [(text: String, pair: AuditedPair)]] = [:]
    try data.forEachPrompt { _, text, pairs in
      add(text, pairs, isNear)
      let name = Self.normalized(text)
      addLeaks(text, pairs, splitsOfPrompt: prompts[name]?.splits ?? 0, twins)
      let judged = pairs.map { (text: text, pair: $0) }
      if prompts[name]?.spellings ?? 1 > 1 {
        together[name, default: []] += judged
      } else {
        addJudgements(judged)
      }
    }
    for name in together.keys.sorted() { addJudgements(together[name] ?? []) }
  }

  /// Returns a prompt as a tokenizer sees it, which ignores case and the amount of white space.
  private static func normalized(_ prompt: String) -> String {
    prompt.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private static func bit(_ split: String) -> UInt8 { split == "train" ? 1 : 2 }

  private mutating func add(
    _ text: String, _ pairs: [AuditedPair], _ isNear: (Int, Int) -> Bool
  ) {
    pairsPerPrompt.append(pairs.count)
    imagesPerPrompt.append(Set(pairs.flatMap(\.images)).count)
    let isEmpty = text.allSatisfy(\.isWhitespace)
    let unsafe = isEmpty ? nil : UnsafeWords.first(in: text)
    for pair in pairs {
      weights.append(pair.weight)
      pairsBySplit[pair.split, default: 0] += 1
      if let annotator = pair.annotator { annotators.insert(annotator) }
      if pair.isTie { note(.ties, pair, text) }
      if isEmpty { note(.emptyCaptions, pair, text) }
      if let unsafe { note(.unsafeCaptions, pair, text, "the word \(unsafe)") }
      let (first, second) = (pair.images[0], pair.images[1])
      if first == second {
        note(.sameImage, pair, text)
      } else if isNear(first, second) {
        note(.nearlySameImage, pair, text)
      }
      let sizes = pair.images.map { [data.images[$0].width, data.images[$0].height] }
      if sizes[0] != sizes[1], !sizes.joined().contains(nil) {
        note(.differentSizes, pair, text, sizes.map(Self.text).joined(separator: " and "))
      }
    }
  }

  private static func text(_ size: [Int?]) -> String {
    size.map { "\($0 ?? 0)" }.joined(separator: " x ")
  }

  /// Adds the findings from all pairs of a prompt.
  private mutating func addJudgements(_ judged: [(text: String, pair: AuditedPair)]) {
    let judged = judged.sorted { $0.pair.id < $1.pair.id }
    let duels = Dictionary(grouping: judged, by: \.pair.key)
    var majority: [(text: String, pair: AuditedPair)] = []
    for key in duels.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      guard let duel = duels[key], key[0] != key[1] else { continue }
      let wins = duel.reduce(into: [Int: Int]()) { wins, judged in
        if let winner = judged.pair.winner?.0 { wins[winner, default: 0] += 1 }
      }
      // If as many judge the opposite, there is no preference that could be part of a cycle.
      if wins[key[0]] != wins[key[1]] {
        let winner = wins[key[0], default: 0] > wins[key[1], default: 0] ? key[0] : key[1]
        majority += duel.filter { $0.pair.winner?.0 == winner }
      }
      guard duel.count > 1 else { continue }
      if wins.count > 1 {
        for (text, pair) in duel where pair.winner != nil { note(.contradictions, pair, text) }
      }
      // The first pair with each label stays.
      var labels: Set<Int?> = []
      for (text, pair) in duel where !labels.insert(pair.winner?.0).inserted {
        note(.repeated, pair, text)
      }
      addAgreement(duel.map(\.pair))
    }
    addCycles(majority.sorted { $0.pair.id < $1.pair.id })
  }

  private mutating func addAgreement(_ duel: [AuditedPair]) {
    let judged = duel.filter { $0.annotator != nil }
    for (index, first) in judged.enumerated() {
      for second in judged[(index + 1)...] where second.annotator != first.annotator {
        judgedTwice += 1
        judgedAlike += first.winner?.0 == second.winner?.0 ? 1 : 0
      }
    }
  }

  private mutating func addCycles(_ judged: [(text: String, pair: AuditedPair)]) {
    var losers: [Int: [Int]] = [:]
    for (_, pair) in judged {
      guard let (winner, loser) = pair.winner, winner != loser else { continue }
      losers[winner, default: []].append(loser)
    }
    let groups = StronglyConnected.groups(of: losers)
    for (text, pair) in judged {
      guard let (winner, loser) = pair.winner, winner != loser,
        let group = groups[winner], group == groups[loser]
      else { continue }
      note(.cycles, pair, text)
    }
  }

  /// Adds rows of train whose prompt or images are held out elsewhere.
  private mutating func addLeaks(
    _ text: String, _ pairs: [AuditedPair], splitsOfPrompt splits: UInt8, _ twins: (Int) -> [Int]
  ) {
    for pair in pairs where pair.split == "train" {
      if splits == 3 { note(.sharedPrompts, pair, text) }
      if let image = pair.images.first(where: { image in
        ([image] + twins(image)).contains { splitsOfImages[$0] & 2 != 0 }
      }) {
        note(
          .sharedImages, pair, text,
          splitsOfImages[image] & 2 != 0 ? "the same bytes" : "nearly the same")
      }
    }
  }

  private mutating func note(
    _ kind: AuditKind, _ pair: AuditedPair, _ text: String, _ note: String = ""
  ) {
    findings[kind]?.add(
      .init(place: data.place(of: pair), prompt: text, images: pair.images, note: note))
  }
}

/// Strongly connected components: groups of nodes that can all reach each other.
///
/// - Source: Tarjan, Depth-First Search and Linear Graph Algorithms, 1972
enum StronglyConnected {
  /// - Parameter edges: the successors of each node
  /// - Returns: the component number of each node in a component of several nodes
  static func groups(of edges: [Int: [Int]]) -> [Int: Int] {
    var index: [Int: Int] = [:]
    var low: [Int: Int] = [:]
    var stack: [Int] = []
    var isOnStack: Set<Int> = []
    var groups: [Int: Int] = [:]
    // An explicit stack instead of recursion: a prompt may have any number of images.
    for start in edges.keys.sorted() where index[start] == nil {
      var work: [(node: Int, next: Int)] = [(start, 0)]
      while let (node, next) = work.last {
        if next == 0 {
          index[node] = index.count
          low[node] = index[node]
          stack.append(node)
          isOnStack.insert(node)
        }
        let targets = edges[node] ?? []
        if next < targets.count {
          work[work.count - 1].next += 1
          let target = targets[next]
          if index[target] == nil {
            work.append((target, 0))
          } else if isOnStack.contains(target) {
            low[node] = min(low[node] ?? 0, index[target] ?? 0)
          }
          continue
        }
        work.removeLast()
        if let parent = work.last?.node { low[parent] = min(low[parent] ?? 0, low[node] ?? 0) }
        guard low[node] == index[node] else { continue }
        var group: [Int] = []
        while let member = stack.popLast() {
          isOnStack.remove(member)
          group.append(member)
          if member == node { break }
        }
        if group.count > 1 { for member in group { groups[member] = index[node] } }
      }
    }
    return groups
  }
}

/// Words that flag a caption for review.
enum UnsafeWords {
  private static let words: Set<String> = [
    "nsfw", "nude", "nudes", "nudity", "naked", "topless", "porn", "porno", "pornographic", "sex",
    "sexual", "erotic", "hentai", "lingerie", "gore", "gory", "beheaded", "dismembered", "corpse",
    "suicide", "rape", "loli", "underage", "genitals", "penis", "vagina", "nipples",
  ]

  static func first(in text: String) -> String? {
    text.lowercased().split { !$0.isLetter }.map(String.init).first(where: words.contains)
  }
}
