import Catalog
import DataStages
import PipelineCore
import ReportStages
import Shards

/// Rejects a report on a split that the data does not have, before training.
struct ReportedSplit {
  /// Reads the shards, or the catalog if there are none yet.
  ///
  /// - Parameter work: the work of a run
  /// - Throws: `PipelineError.badSetting`
  static func require(for work: [PlannedWork], of pipeline: Pipeline) throws {
    let stages = try pipeline.madeStages()
    guard let report = stages.lazy.compactMap({ $0 as? WriteReport }).first,
      let split = report.settings.split, let known = try splits(work, stages, pipeline),
      !known.contains(split)
    else { return }
    let heldOut = known.filter { $0 != "train" }
    throw PipelineError.badSetting(
      path: "report.prompts",
      reason: "names the split \(split), but the data has \(known.joined(separator: " and ")); "
        + (heldOut.first.map { "set report.prompts=\($0), or name a list of prompts" }
          ?? "name a list of prompts"))
  }

  /// Returns the splits in alphabetical order; nil: unknown from what exists.
  private static func splits(
    _ work: [PlannedWork], _ stages: [any Stage], _ pipeline: Pipeline
  ) throws -> [String]? {
    let workspace = Workspace(path: pipeline.workspacePath)
    if work.contains(where: { $0.ready.contains("shards") }) {
      return try ShardIndex(contentsOf: workspace.path("shards/\(ShardIndex.fileName)")).splits
    }
    guard work.contains(where: { $0.ready.contains(.catalog) }),
      let shard = stages.lazy.compactMap({ $0 as? Shard }).first
    else { return nil }
    let splits = try CatalogDatabase(
      path: workspace.path(CatalogDatabase.fileName), access: .readOnly
    ).splits()
    let isDivided = splits.count == 1 && shard.settings.validationFraction > 0
    return Set(splits + (isDivided ? ["validation"] : [])).sorted()
  }
}
