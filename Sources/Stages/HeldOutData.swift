import Catalog
import DataStages
import PipelineCore
import StageSupport
import TrainingStages

/// Rejects data unusable for training, from the catalog alone, before hours of encoding.
struct HeldOutData {
  private let catalog: CatalogDatabase
  private let settings: ShardSettings
  /// The splits that are in the sources but not in the catalog.
  private let lost: LostSplits

  /// Checks the catalog once it is complete, and before that the names of the files.
  ///
  /// - Parameters:
  ///   - work: the work of a run; nothing is checked if none of it reads the catalog
  ///   - volume: the estimated contents of the sources; nil: unknown
  /// - Throws: `PipelineError.badSetting` if the pipeline trains and its data has no training or no
  ///   held-out prompts; ``NothingLearned`` if it learns from comparisons of which none prefers an
  ///   image
  static func require(
    for work: [PlannedWork], of pipeline: Pipeline, _ volume: DataVolume? = nil
  ) throws {
    let readers = work.filter { $0.stage.reads.contains(.catalog) }
    let stages = try pipeline.madeStages()
    let judges = stages.contains { $0 is TrainPreference }
    let compares = learnsFromComparisons(stages)
    guard !readers.isEmpty, compares || stages.contains(where: { $0 is TuneSPO }),
      let shard = stages.lazy.compactMap({ $0 as? Shard }).first
    else { return }
    let ingest = stages.lazy.compactMap { $0 as? Ingest }.first
    guard readers.contains(where: { $0.ready.contains(.catalog) }) else {
      // Stage ingest reports problems of the sources.
      guard let settings = ingest?.settings,
        let sources = try? SourceFiles(settings)
      else { return }
      if compares { try SourceContents(sources, settings)?.requireComparisons() }
      let splits = Set(sources.files.map(\.split)).sorted()
      let (_, heldOut) = try divided(splits, lost: LostSplits())
      guard let limit = settings.limit else { return }
      // The first rows may all be in one split, whatever splits the files have.
      let isDivided =
        heldOut.map { settings.limitBy == .prompts || volume?.rows(ofSplit: $0) ?? 0 > 0 } ?? false
      guard !isDivided, limit == 1 || volume?.countedPrompts == 1 else { return }
      throw PipelineError.badSetting(
        path: "ingest.limit",
        reason: "is \(limit), \(limit == 1 ? "" : "which leaves one prompt, ")"
          + "and training needs at least two prompts, one of them held out; raise it")
    }
    let catalog = try CatalogDatabase(
      path: "\(pipeline.workspacePath)/\(CatalogDatabase.fileName)", access: .readOnly)
    try HeldOutData(
      catalog: catalog, settings: shard.settings,
      lost: try ingest.map { try LostSplits(catalog, $0.settings) } ?? LostSplits()
    ).require(withPairs: compares, holdsOutPairs: judges)
  }

  static func learnsFromComparisons(_ stages: [any Stage]) -> Bool {
    stages.contains { $0 is TrainPreference || $0 is TuneDPO }
  }

  /// - Returns: the split to train on and the one held out; nil for the second if it is a part of
  ///   the first
  private static func divided(
    _ splits: [String], lost: LostSplits
  ) throws -> (train: String, heldOut: String?) {
    if !splits.contains("train"), lost.contains("train") { throw lost.error("train") }
    if splits.count == 1, let only = splits.first {
      guard only == "train" else {
        throw PipelineError.badSetting(
          path: "ingest.source",
          reason:
            "all rows are in split \(only), and none are left to train on; add files of split "
            + "train, or, if these rows are not to be held out, set ingest.split=train, of which "
            + "shard.validation_fraction is held out")
      }
      return (only, nil)
    }
    let heldOutSplits = ["validation_unique", "validation"]
    let heldOut = heldOutSplits.first { splits.contains($0) }
    guard splits.contains("train"), let heldOut else {
      if splits.contains("train"), let gone = heldOutSplits.first(where: lost.contains) {
        throw lost.error(gone)
      }
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason: "training needs rows of split train and of split validation or validation_unique, "
          + "but the data has \(splits.joined(separator: " and ")); "
          + (splits.contains("train")
            ? "list only the files of split train in ingest.source, of which shard.validation_fraction is "
              + "held out, or add files of split validation"
              + (splits.contains { $0.hasPrefix("test") }
                ? ": files and folders named test are read as split test, so rename them if their rows are "
                  + "to choose the model" : "")
            : "add files, or use only one split, of which shard.validation_fraction is held out"))
    }
    return ("train", heldOut)
  }

  /// - Parameters:
  ///   - withPairs: whether prompts without pairs are unusable for training
  ///   - holdsOutPairs: whether prompts without pairs are unusable for holding out
  private func require(withPairs: Bool, holdsOutPairs: Bool) throws {
    let (train, heldOut) = try Self.divided(try catalog.splits(), lost: lost)
    if let heldOut {
      let compared = (withPairs ? [train] : []) + (holdsOutPairs ? [heldOut] : [])
      for split in compared where try positions(split, withPairs: true).isEmpty {
        throw PipelineError.badSetting(
          path: "ingest.source",
          reason: "training needs comparisons of split \(split), but only prompts of it are left")
      }
    } else {
      try requireDivisible(train, withPairs)
    }
    // A model labels ties, too.
    guard withPairs, settings.labels == .people else { return }
    let fraction = heldOut == nil ? settings.validationFraction : 0
    try catalog.labelCounts(inSplit: train)
      .filter { PromptRecord.position(sha256: $0.sha256) >= fraction }
      .reduce(into: LabelCounts()) { $0 += $1.counts }
      .requireDecided()
  }

  /// Requires that a part of a single split can be held out.
  private func requireDivisible(_ split: String, _ withPairs: Bool) throws {
    let fraction = settings.validationFraction
    let positions = try positions(split, withPairs: withPairs)
    let heldOut = positions.count { $0 < fraction }
    guard heldOut == 0 || heldOut == positions.count else { return }
    guard let least = positions.first, let most = positions.last, positions.count > 1 else {
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason:
          "training needs at least two prompts\(withPairs ? " with comparisons" : ""), one of "
          + "them held out, but the data has \(positions.count)")
    }
    // The smallest number with three decimals that holds out a prompt, or the largest that leaves
    // one.
    let remedy =
      heldOut == 0
      ? ((least * 1_000).rounded(.down) + 1) / 1_000 : (most * 1_000).rounded(.down) / 1_000
    throw PipelineError.badSetting(
      path: "shard.validation_fraction",
      reason:
        "\(fraction) holds out \(heldOut) of \(positions.count) prompts, but training needs some "
        + "to train on and some held out; set shard.validation_fraction=\(remedy), or "
        + otherRemedy)
  }

  private var otherRemedy: String {
    guard let gone = ["validation_unique", "validation"].first(where: lost.contains) else {
      return "add a file of split validation"
    }
    return "\(lost.remedy(gone)): \(lost.sentence(gone))"
  }

  /// Returns the positions of a split's prompts, in ascending order.
  private func positions(_ split: String, withPairs: Bool) throws -> [Double] {
    var compared: Set<Int> = []
    if withPairs {
      try catalog.forEachPromptGroup(inSplit: split) { compared.insert($0.prompt.id) }
    }
    return try catalog.prompts(inSplit: split)
      .filter { !withPairs || compared.contains($0.id) }.map(\.position).sorted()
  }
}

extension LabelCounts {
  /// - Throws: ``NothingLearned`` if no comparison to train on prefers an image
  func requireDecided() throws(NothingLearned) {
    if decided > 0, alike == decided { throw .allAlike(decided) }
    guard decided == 0, total > 0 else { return }
    throw .noneDecided(ties: ties, unlabelled: unlabelled)
  }
}
