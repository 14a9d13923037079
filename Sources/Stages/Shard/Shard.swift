import Catalog
import Files
import PipelineCore
import Shards

/// Writes what training reads: self-contained files of prompts with their latents and labels.
///
/// - Reads:   the catalog and the cache, `labels.json` where a model labels
/// - Writes:  `shards/SPLIT-00000-of-00003.safetensors`, then `shards/index.json`
/// - Item:    one file
final class Shard: Stage {
  static let name = "shard"
  static let version = 1
  static let unit = "shards"

  let reads: Set<Artifact>
  let writes: Set<Artifact> = [.shards]

  let settings: ShardSettings
  private let context: StageContext
  private var source: ShardSource?
  private var plan = ShardPlan()

  init(settings: ShardSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    let labels: Set<Artifact> = settings.labels == .model ? [.labels] : []
    reads = labels.union([.catalog, .encodings])
  }

  private var folder: String { context.workspace.path("shards") }
  private var indexPath: String { "\(folder)/\(ShardIndex.fileName)" }

  func missingOutput() throws -> String? {
    guard Folders.exists(indexPath) else { return "shards/\(ShardIndex.fileName)" }
    return try ShardIndex(contentsOf: indexPath).shards.map(\.file).first {
      !Folders.exists("\(folder)/\($0)")
    }.map { "shards/\($0)" }
  }

  func reset() throws { try Folders.remove(folder) }

  func pendingItems() throws -> [ShardPlan.Shard] {
    let catalog = try CatalogDatabase(
      path: context.workspace.path(CatalogDatabase.fileName), access: .readOnly)
    try catalog.checkDigests()
    let cache = try CacheDatabase(
      path: context.workspace.path(CacheDatabase.fileName), access: .readOnly)
    let source = try ShardSource(
      try Encodings(contentsOf: context.workspace.path(Encodings.fileName)), catalog, cache,
      labels: settings.labels == .model
        ? ScoredLabels(contentsOf: context.workspace.path(ScoredLabels.fileName)) : nil)
    plan = try ShardPlan(catalog, source, settings: settings)
    self.source = source
    return plan.shards.filter { !Folders.exists("\(folder)/\($0.fileName)") }
  }

  func finishedUnitCount() throws -> Int {
    plan.shards.count { Folders.exists("\(folder)/\($0.fileName)") }
  }

  func prepare() throws {
    guard !plan.shards.isEmpty else {
      throw ShardStageError.nothingToWrite(droppedPairs: plan.droppedPairCount)
    }
    if plan.droppedPairCount > 0 {
      context.progress.say("\(plan.droppedPairCount) pairs left out: their images have no latents")
    }
    try HeldOutData.require(
      in: CatalogDatabase(
        path: context.workspace.path(CatalogDatabase.fileName), access: .readOnly), context)
    try context.workspace.makeFolder("shards")
    try Folders.removeLeftovers(in: folder)
    // A folder with an index is complete.
    try Folders.remove(indexPath)
    try DiskSpace.require(plan.byteCount, at: folder, for: "shards")
  }

  func process(_ shard: ShardPlan.Shard) throws -> ShardContents {
    guard let source else { preconditionFailure("items come from pendingItems") }
    return try source.contents(of: shard)
  }

  func commit(_ contents: ShardContents, of shard: ShardPlan.Shard) throws {
    try contents.write(to: "\(folder)/\(shard.fileName)")
  }

  /// Reads back what was written, in this run or before, and notes it in the index.
  func finish() throws {
    guard let source else { preconditionFailure("finish comes after pendingItems") }
    let encodings = source.encodings
    let shards = try plan.shards.map { shard in
      let path = "\(folder)/\(shard.fileName)"
      let reader = try ShardReader(path: path, layout: source.layout)
      let file = try RegularFile(path: path)
      return ShardIndex.Shard(
        file: shard.fileName, split: shard.split, byteCount: file.size,
        sha256: try SHA256.digest(of: file).hexadecimal, promptCount: reader.promptCount,
        imageCount: reader.imageCount, pairCount: reader.pairCount)
    }
    let index = ShardIndex(
      layout: source.layout, scalingFactor: encodings.scalingFactor,
      fingerprints: [
        "autoencoder": encodings.image.fingerprint, "text_encoder": encodings.text.fingerprint,
        "tokenizer": encodings.tokenizerFingerprint,
      ],
      settings: [
        "size": .integer(encodings.size), "shard_size_mb": .number(settings.shardSizeMb),
        "validation_fraction": .number(settings.validationFraction),
        "labels": .string(settings.labels.rawValue),
      ], shards: shards)
    try index.save(to: indexPath)
  }

  func results() throws -> [String] {
    guard Folders.exists(indexPath) else { return [] }
    let index = try ShardIndex(contentsOf: indexPath)
    let parts = index.splits.map { split in
      let shards = index.shards.filter { $0.split == split }
      let pairs = shards.reduce(0) { $0 + $1.pairCount }
      let prompts = shards.reduce(0) { $0 + $1.promptCount }
      return "\(split) \(pairs) pairs of \(prompts) prompts"
    }
    return ["shards: \(folder) (\(parts.joined(separator: ", ")))"]
  }
}

enum ShardStageError: ClassifiedError, CustomStringConvertible {
  case nothingToWrite(droppedPairs: Int)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .nothingToWrite(let dropped):
      dropped == 0
        ? "shard: the catalog has no pairs and no listed prompts"
        : "shard: none of the \(dropped) pairs has the latents of both images; "
          + "was the source one without images?"
    }
  }
}
