import Catalog
import Files
import Shards

/// The assignment of prompts to shards.
///
/// Prompts are ordered by their text's digest, effectively random and the same everywhere; a shard
/// is filled up to its size, then the next one begins. So the same catalog always gives the same
/// shards, and none depends on what was written before.
struct ShardPlan {
  struct Shard {
    let split: SafeName
    /// The split of the prompts' pairs in the catalog.
    let sourceSplit: String
    let number: Int
    let count: Int
    /// Ids in the catalog.
    let prompts: [Int]
    /// Images of the prompts, those that several share counted for each.
    let imageCount: Int

    var fileName: String { ShardIndex.fileName(split: split, number: number, count: count) }
  }

  private(set) var shards: [Shard] = []
  private(set) var byteCount = 0
  /// The number of pairs without the encodings of both images.
  private(set) var droppedPairCount = 0

  init(
    _ catalog: CatalogDatabase, _ contents: ShardSource, settings: ShardSettings
  ) throws {
    let sourceSplits = try catalog.splits()
    for sourceSplit in sourceSplits {
      let prompts = try usablePrompts(catalog, contents, sourceSplit)
      let fraction = sourceSplits.count == 1 ? settings.validationFraction : 0
      let isValidation: (Candidate) -> Bool = { $0.position < fraction }
      try add(prompts.filter { !isValidation($0) }, sourceSplit, sourceSplit, settings)
      try add(prompts.filter(isValidation), "validation", sourceSplit, settings)
    }
    shards.sort { ($0.split, $0.number) < ($1.split, $1.number) }
  }

  private struct Candidate {
    let id: Int
    let imageCount: Int
    let byteCount: Int
    /// The position of the prompt's digest among all digests, 0..<1.
    let position: Double
  }

  /// Returns the prompts of a split that are listed or have a pair with all its encodings.
  private mutating func usablePrompts(
    _ catalog: CatalogDatabase, _ contents: ShardSource, _ split: String
  ) throws -> [Candidate] {
    var sizes: [Int: (images: Int, byteCount: Int)] = [:]
    var dropped = 0
    try catalog.forEachPromptGroup(inSplit: split) { group in
      let pairs = try group.pairs.filter(contents.isComplete)
      dropped += group.pairs.count - pairs.count
      guard !pairs.isEmpty else { return }
      let images = Set(pairs.flatMap { [$0.image0.sha256, $0.image1.sha256] })
      sizes[group.prompt.id] = (
        images.count,
        images.count * contents.latentByteCount + pairs.count * ShardSource.pairByteCount
      )
    }
    droppedPairCount += dropped
    let listed = try catalog.listedPromptIDs(inSplit: split)
    return try catalog.prompts(inSplit: split).compactMap { prompt in
      guard let size = sizes[prompt.id] ?? (listed.contains(prompt.id) ? (0, 0) : nil) else {
        return nil
      }
      return Candidate(
        id: prompt.id, imageCount: size.images,
        byteCount: size.byteCount + contents.promptByteCount + prompt.text.utf8.count,
        position: prompt.position)
    }
  }

  private mutating func add(
    _ prompts: [Candidate], _ split: String, _ sourceSplit: String, _ settings: ShardSettings
  ) throws {
    guard let name = SafeName(split) else { throw ShardStageError.badSplit(split) }
    let limit = Int(settings.shardSizeMb * 1e6)
    var groups: [[Candidate]] = []
    var size = 0
    for prompt in prompts {
      if groups.isEmpty || size + prompt.byteCount > limit {
        groups.append([])
        size = 0
      }
      groups[groups.count - 1].append(prompt)
      size += prompt.byteCount
      byteCount += prompt.byteCount
    }
    shards += groups.enumerated().map { number, prompts in
      Shard(
        split: name, sourceSplit: sourceSplit, number: number, count: groups.count,
        prompts: prompts.map(\.id), imageCount: prompts.reduce(0) { $0 + $1.imageCount })
    }
  }
}
