import Files
import Synchronization

/// All shards of one split, as one list of pairs, prompts and images.
///
///     let shards = try ShardSet(folder: "runs/quickstart/shards", split: "train")
///     let pair = try shards.pair(17)
///     let latent = try shards.latent(ofImage: pair.image0)  // [4, height, width], scaled
///     let embedding = try shards.embedding(ofPrompt: pair.prompt)  // [tokens, width]
///
/// Indices run through all shards, in order. A shard is opened, and its digest verified against the
/// index, on first access; after that every access costs the same, wherever it is. May be used from
/// several threads.
public final class ShardSet: Sendable {
  public let folder: String
  public let split: String
  public let index: ShardIndex
  public var layout: ShardLayout { index.layout }
  public var pairCount: Int { pairStarts.last ?? 0 }
  public var promptCount: Int { promptStarts.last ?? 0 }
  public var imageCount: Int { imageStarts.last ?? 0 }

  private let shards: [ShardIndex.Shard]
  /// The index of the first pair of each shard, and the end of the last shard.
  private let pairStarts: [Int]
  private let promptStarts: [Int]
  private let imageStarts: [Int]
  private let verifiesDigests: Bool
  private let readers: Mutex<[ShardReader?]>

  /// - Parameter verifiesDigests: read each shard completely once, to verify its digest
  /// - Throws: `ShardError.unknownSplit` if there are no shards of the split
  public init(folder: String, split: String, verifiesDigests: Bool = true) throws {
    let path = "\(folder)/\(ShardIndex.fileName)"
    index = try ShardIndex(contentsOf: path)
    shards = index.shards.filter { $0.split == split }
    guard !shards.isEmpty else {
      throw ShardError.unknownSplit(path: path, split: split, known: index.splits)
    }
    self.folder = folder
    self.split = split
    self.verifiesDigests = verifiesDigests
    pairStarts = Self.starts(shards.map(\.pairCount))
    promptStarts = Self.starts(shards.map(\.promptCount))
    imageStarts = Self.starts(shards.map(\.imageCount))
    readers = Mutex(Array(repeating: nil, count: shards.count))
    // Every shard stays open.
    RegularFile.allowOpen(shards.count)
  }

  /// Returns the held-out split of a folder: `validation_unique` as published, else `validation`.
  public static func heldOut(in folder: String) throws -> ShardSet {
    let splits = try ShardIndex(contentsOf: "\(folder)/\(ShardIndex.fileName)").splits
    let split = splits.contains("validation_unique") ? "validation_unique" : "validation"
    return try ShardSet(folder: folder, split: split)
  }

  /// Returns the split for evaluating a finished preference model: `test_unique` or `test` if it
  /// has comparisons, which have not been used for selection; else the held-out one.
  public static func evaluated(in folder: String) throws -> ShardSet {
    let shards = try ShardIndex(contentsOf: "\(folder)/\(ShardIndex.fileName)").shards
    let split = ["test_unique", "test"].first { name in
      shards.contains { $0.split == name && $0.pairCount > 0 }
    }
    return try split.map { try ShardSet(folder: folder, split: $0) } ?? heldOut(in: folder)
  }

  /// Returns pair `number`, with the indices of its prompt and images within the split.
  public func pair(_ number: Int) throws -> ShardPair {
    let (shard, local) = place(number, pairStarts)
    var pair = try reader(shard).pairs[local]
    pair.prompt += promptStarts[shard]
    pair.image0 += imageStarts[shard]
    pair.image1 += imageStarts[shard]
    return pair
  }

  public func prompt(_ number: Int) throws -> ShardPrompt {
    let (shard, local) = place(number, promptStarts)
    var prompt = try reader(shard).prompt(local)
    let first = pairStarts[shard]
    prompt.pairs = first + prompt.pairs.lowerBound..<first + prompt.pairs.upperBound
    return prompt
  }

  /// Returns the indices of the prompts that come from a list of prompts; opens every shard.
  public func listedPrompts() throws -> [Int] {
    try shards.indices.flatMap { shard in
      try reader(shard).listedPrompts.map { $0 + promptStarts[shard] }
    }
  }

  /// Returns the scaled latent of an image, `[channels, height, width]`: the posterior's mean.
  public func latent(ofImage number: Int) throws -> [Float] {
    try floats(layout.latentCount) { try readLatent(ofImage: number, into: $0) }
  }

  /// Fills `destination`, of `layout.latentCount` elements, with the scaled latent of an image.
  public func readLatent(
    ofImage number: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws {
    let (shard, local) = place(number, imageStarts)
    try reader(shard).readLatent(local, into: destination)
  }

  /// Returns the log-variance of the scaled latent, in the same shape; nil if only means were
  /// stored.
  public func logVariance(ofImage number: Int) throws -> [Float]? {
    guard layout.hasLogVariance else { return nil }
    let (shard, local) = place(number, imageStarts)
    return try floats(layout.latentCount) { try reader(shard).readLogVariance(local, into: $0) }
  }

  /// The embedding of a prompt, `[tokens, width]`.
  public func embedding(ofPrompt number: Int) throws -> [Float] {
    try floats(layout.embeddingCount) { try readEmbedding(ofPrompt: number, into: $0) }
  }

  /// Fills `destination`, of `layout.embeddingCount` elements, with the embedding of a prompt.
  public func readEmbedding(
    ofPrompt number: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws {
    let (shard, local) = place(number, promptStarts)
    try reader(shard).readEmbedding(ofPrompt: local, into: destination)
  }

  /// The embedding of the empty prompt, `[tokens, width]`, for guidance.
  public func emptyEmbedding() throws -> [Float] {
    try floats(layout.embeddingCount) { try reader(0).readEmptyEmbedding(into: $0) }
  }

  /// The pooled text of a prompt; nil if the layout has none.
  public func pooledText(ofPrompt number: Int) throws -> [Float]? {
    guard let width = layout.pooledText?.width else { return nil }
    let (shard, local) = place(number, promptStarts)
    return try floats(width) { try reader(shard).readPooledText(ofPrompt: local, into: $0) }
  }

  /// The pooled text of the empty prompt; nil if the layout has none.
  public func emptyPooledText() throws -> [Float]? {
    guard let width = layout.pooledText?.width else { return nil }
    return try floats(width) { try reader(0).readEmptyPooledText(into: $0) }
  }

  // MARK: - Places

  private static func starts(_ counts: [Int]) -> [Int] {
    counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  }

  /// Returns the shard that contains item `number`, and the item's index in it.
  private func place(_ number: Int, _ starts: [Int]) -> (shard: Int, local: Int) {
    precondition(number >= 0 && number < starts[starts.count - 1], "no item \(number)")
    var low = 0
    var high = starts.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= number { low = middle } else { high = middle }
    }
    return (low, number - starts[low])
  }

  private func reader(_ number: Int) throws -> ShardReader {
    try readers.withLock { readers in
      if let reader = readers[number] { return reader }
      let reader = try open(shards[number])
      readers[number] = reader
      return reader
    }
  }

  private func open(_ shard: ShardIndex.Shard) throws -> ShardReader {
    let path = "\(folder)/\(shard.file)"
    if verifiesDigests {
      let found = try SHA256.digest(of: try RegularFile(path: path)).hexadecimal
      guard found == shard.sha256 else {
        throw ShardError.damaged(path: path, expected: shard.sha256, found: found)
      }
    }
    let reader = try ShardReader(path: path, layout: layout)
    guard reader.promptCount == shard.promptCount, reader.imageCount == shard.imageCount,
      reader.pairCount == shard.pairCount
    else { throw ShardError.malformed(path: path, reason: "its counts are not the index's") }
    return reader
  }

  private func floats(
    _ count: Int, _ fill: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws -> [Float] {
    try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }
}
