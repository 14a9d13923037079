import Catalog
import PipelineCore

/// Refuses data that training could not use, from the catalog alone: before hours of encoding.
struct HeldOutData {
  private let catalog: CatalogDatabase
  private let settings: ShardSettings

  /// - Throws: `PipelineError.badSetting`, if the pipeline trains and its data has no training or no
  ///   held-out prompts
  static func require(in catalog: CatalogDatabase, _ context: StageContext) throws {
    let judges = context.plans(TrainPreference.name)
    let compares = judges || context.plans(TuneDPO.name)
    guard compares || context.plans(TuneSPO.name),
      let settings = try context.planned(ShardSettings.self, of: Shard.name)
    else { return }
    try HeldOutData(catalog: catalog, settings: settings).require(
      withPairs: compares, holdsOutPairs: judges)
  }

  /// - Parameters:
  ///   - withPairs: prompts alone are nothing to train on
  ///   - holdsOutPairs: prompts alone are nothing to hold out either
  private func require(withPairs: Bool, holdsOutPairs: Bool) throws {
    let splits = try catalog.splits()
    if splits.count == 1, let only = splits.first { return try requireDivisible(only, withPairs) }
    let heldOut = ["validation_unique", "validation"].first { splits.contains($0) }
    guard splits.contains("train"), let heldOut else {
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason: "training needs rows of split train and of split validation or validation_unique, "
          + "but the data has \(splits.joined(separator: " and ")); add files, or leave one split, of "
          + "which shard.validation_fraction is held out")
    }
    let compared = (withPairs ? ["train"] : []) + (holdsOutPairs ? [heldOut] : [])
    for split in compared where try positions(split, withPairs: true).isEmpty {
      throw PipelineError.badSetting(
        path: "ingest.source",
        reason: "training needs comparisons of split \(split), but it has prompts alone")
    }
  }

  /// All rows are of one split, of which a part is held out.
  private func requireDivisible(_ split: String, _ withPairs: Bool) throws {
    let fraction = settings.validationFraction
    guard split == "train" else {
      throw PipelineError.badSetting(
        path: "ingest.split",
        reason: "all rows are of split \(split), and none are left to train on; "
          + "set ingest.split=train, of which shard.validation_fraction is held out")
    }
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
    // The least number of three decimals that holds one prompt out, the greatest that leaves one.
    let remedy =
      heldOut == 0
      ? ((least * 1_000).rounded(.down) + 1) / 1_000 : (most * 1_000).rounded(.down) / 1_000
    throw PipelineError.badSetting(
      path: "shard.validation_fraction",
      reason:
        "\(fraction) holds out \(heldOut) of \(positions.count) prompts, and training needs some "
        + "to learn from and some held out; set shard.validation_fraction=\(remedy), or add a file of "
        + "split validation")
  }

  /// Where the prompts of a split stand, in ascending order.
  private func positions(_ split: String, withPairs: Bool) throws -> [Double] {
    var compared: Set<Int> = []
    if withPairs {
      try catalog.forEachPromptGroup(inSplit: split) { compared.insert($0.prompt.id) }
    }
    return try catalog.prompts(inSplit: split)
      .filter { !withPairs || compared.contains($0.id) }.map(\.position).sorted()
  }
}

extension PromptRecord {
  /// Where its text's digest stands among all digests, 0..<1.
  var position: Double { Double(UInt32(sha256.prefix(8), radix: 16) ?? 0) / 0x1p32 }
}
