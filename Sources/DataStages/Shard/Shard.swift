import Catalog
import Files
import PipelineCore
import Shards
import StageSupport

/// Writes the training data: self-contained files of prompts with their latents and labels.
///
/// - Reads:   the catalog and the cache, `labels.json` where a model labels
/// - Writes:  `shards/SPLIT-00000-of-00003.safetensors`, then `shards/index.json`
/// - Item:    one file
package struct Shard: DivisibleStage {
  static let name = "shard"
  static let version = 1
  static let unit = "shards"
  static let repairsFiles = true
  /// `ShardSet` verifies them against the index.
  static let checkedByReaders: Set<String> = [".safetensors"]

  let reads: Set<Artifact>
  let writes: [Artifact: [String]] = [.shards: ["shards"]]

  package let settings: ShardSettings
  private let context: StageContext

  init(settings: ShardSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    let labels: Set<Artifact> = settings.labels == .model ? [.labels] : []
    reads = labels.union([.catalog, .encodings])
  }

  static let ownPaths = ["shards/"]
  static let fileNames = ["shards/*-of-*.safetensors", "shards/\(ShardIndex.fileName)"]
  private var folder: String { context.output("shards") }
  private var indexPath: String { "\(folder)/\(ShardIndex.fileName)" }

  func workPlan() throws -> WorkPlan<ShardWork> {
    let (plan, source) = try usingCache(context, of: .encodings, plannedShards)
    let isWritten = plan.shards.map { Folders.exists("\(folder)/\($0.fileName)") }
    return WorkPlan(
      zip(plan.shards, isWritten).filter { context.isPart || !$1 }.map(\.0),
      finishedUnitCount: isWritten.count { $0 }, division: ShardDivision(context, plan)
    ) {
      if !context.isPart { try check(plan) }
      return ShardWork(settings, context, plan, source, folder: folder)
    }
  }

  private func plannedShards() throws -> (ShardPlan, ShardSource) {
    let access: Database.Access = context.isPart ? .immutable : .readOnly
    let catalog = try CatalogDatabase(
      path: context.workspace.path(CatalogDatabase.fileName), access: access)
    try catalog.checkDigests()
    let cache = try CacheDatabase(
      path: context.workspace.path(CacheDatabase.fileName), access: access)
    let source = try ShardSource(
      try EncoderIdentity(context), catalog, cache,
      labels: settings.labels == .model
        ? ScoredLabels(contentsOf: context.workspace.path(ScoredLabels.fileName)) : nil)
    return (try ShardPlan(catalog, source, settings: settings), source)
  }

  /// Refuses to start if the result would be useless.
  private func check(_ plan: ShardPlan) throws {
    guard !plan.shards.isEmpty else {
      throw ShardStageError.nothingToWrite(droppedPairs: plan.droppedPairCount)
    }
    if plan.droppedPairCount > 0 {
      context.progress.say("\(plan.droppedPairCount) pairs dropped: their images have no latents")
    }
    // What parts have written is moved.
    if !context.hasParts { try DiskSpace.require(plan.byteCount, at: folder, for: "shards") }
  }

  /// Compares the shards with the index, and both with what the catalog would give now.
  func findings() throws -> [String] {
    let (plan, _) = try usingCache(context, of: .encodings, plannedShards)
    let index = try ShardIndex(contentsOf: indexPath)
    for split in index.splits {
      // Opens every shard.
      _ = try ShardSet(folder: folder, split: split).listedPrompts()
    }
    let planned = plan.shards.map { "\($0.fileName), \($0.prompts.count) prompts" }
    let found = index.shards.map { "\($0.file), \($0.promptCount) prompts" }
    return Set(planned).symmetricDifference(found).sorted().map {
      planned.contains($0)
        ? "\(indexPath): \($0) is missing, according to the catalog and the cache"
        : "\(indexPath): \($0) is unexpected, according to the catalog and the cache"
    }
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

/// Writes the files in sequence.
final class ShardWork: StageWork {
  enum Output {
    case contents(ShardContents)
    /// A file written by a part, with its digest.
    case file(path: String, sha256: String)
  }

  private let settings: ShardSettings
  private let context: StageContext
  private let plan: ShardPlan
  private let source: ShardSource
  private let folder: String

  init(
    _ settings: ShardSettings, _ context: StageContext, _ plan: ShardPlan, _ source: ShardSource,
    folder: String
  ) {
    (self.settings, self.context, self.plan) = (settings, context, plan)
    (self.source, self.folder) = (source, folder)
  }

  func process(_ shard: ShardPlan.Shard) throws -> Output {
    try usingCache(context, of: .encodings) { .contents(try source.contents(of: shard)) }
  }

  func commit(_ output: Output, of shard: ShardPlan.Shard) throws {
    let path = "\(folder)/\(shard.fileName)"
    switch output {
    case .contents(let contents): try contents.write(to: path)
    case .file(let part, let sha256):
      try Folders.move(part, to: path)
      try context.digests.assign(sha256, toFile: path)
    }
  }

  /// Reads back what was written, in this run or before, and records it in the index.
  func finish() throws -> WorkSummary {
    let encoderIdentity = source.encoderIdentity
    let shards = try plan.shards.map { shard in
      let path = "\(folder)/\(shard.fileName)"
      let reader = try ShardReader(path: path, layout: source.layout)
      return ShardIndex.Shard(
        file: shard.fileName, split: shard.split.text, byteCount: Folders.byteCount(of: path),
        sha256: try context.digests.digest(ofFile: path), promptCount: reader.promptCount,
        imageCount: reader.imageCount, pairCount: reader.pairCount)
    }
    let index = ShardIndex(
      layout: source.layout, scalingFactor: encoderIdentity.scalingFactor,
      fingerprints: [
        "autoencoder": encoderIdentity.image.fingerprint,
        "text_encoder": encoderIdentity.text.fingerprint,
        "tokenizer": encoderIdentity.tokenizerFingerprint,
      ],
      settings: [
        "size": .integer(encoderIdentity.size), "labels": .string(settings.labels.rawValue),
      ], shards: shards)
    try index.save(to: "\(folder)/\(ShardIndex.fileName)")
    return WorkSummary()
  }
}

// MARK: - Parts

/// A part writes a shard's own file, which the merge moves into place.
private struct ShardDivision: Division {
  private let context: StageContext
  private let positions: [String: Int]

  init(_ context: StageContext, _ plan: ShardPlan) {
    self.context = context
    positions = Dictionary(
      plan.shards.enumerated().map { ($0.element.fileName, $0.offset) }
    ) { first, _ in first }
  }

  func position(of shard: ShardPlan.Shard) -> Int? { positions[shard.fileName] }
  func key(of shard: ShardPlan.Shard) -> String { shard.fileName }

  func write(
    _ output: ShardWork.Output, of shard: ShardPlan.Shard, to writer: inout OutputWriter
  ) throws {
    guard case .contents(let contents) = output, let folder = context.partFolder else { return }
    try Folders.make(folder)
    let path = "\(folder)/\(shard.fileName)"
    try contents.write(to: path)
    writer.add(try context.digests.digest(ofFile: path))
  }

  func output(
    of shard: ShardPlan.Shard, from reader: inout OutputReader
  ) throws -> ShardWork.Output {
    let sha256 = try reader.text()
    let path = "\(context.partFolder ?? "")/\(shard.fileName)"
    guard Folders.exists(path) else { throw BadOutput("\(path) is missing") }
    let found = try context.digests.digest(ofFile: path)
    guard found == sha256 else {
      throw BadOutput(
        "\(path): its SHA-256 is \(found.prefix(12))…, but \(sha256.prefix(12))… was written")
    }
    return .file(path: path, sha256: sha256)
  }
}

enum ShardStageError: ClassifiedError, CustomStringConvertible {
  case nothingToWrite(droppedPairs: Int)
  case badSplit(String)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .nothingToWrite(let dropped):
      dropped == 0
        ? "shard: the catalog has no pairs and no listed prompts"
        : "shard: none of the \(dropped) pairs has latents of both images; "
          + "does the source contain images?"
    case .badSplit(let split):
      "shard: the catalog's split \"\(split.printable)\" is not a valid file name: \(SafeName.rule)"
    }
  }
}
