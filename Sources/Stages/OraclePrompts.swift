import Catalog
import DataStages
import Diffusion
import PipelineCore
import ReportStages
import Shards
import StageSupport
import TrainingStages

/// Rejects an oracle that will not understand the prompts of a split, before training the model
/// whose images it scores.
struct OraclePrompts {
  private let work: [PlannedWork]
  private let workspace: Workspace
  private let shard: ShardSettings

  /// Reads the shards, or the catalog if there are none yet.
  ///
  /// - Parameter work: the work of a run
  /// - Throws: `PipelineError.badSetting`
  static func require(for work: [PlannedWork], of pipeline: Pipeline) throws {
    let stages = try pipeline.madeStages()
    guard !work.isEmpty, let shard = stages.lazy.compactMap({ $0 as? Shard }).first else { return }
    let check = OraclePrompts(
      work: work, workspace: Workspace(path: pipeline.workspacePath), shard: shard.settings)
    for stage in stages {
      if let settings = (stage as? TuneSPO)?.settings, settings.heldOutEvery != nil {
        try check.require(
          settings.heldOutOracle, "spo.held_out_oracle", settings.base, split: nil,
          count: settings.heldOutPrompts)
      }
      if let settings = (stage as? WriteReport)?.settings, let split = settings.split {
        try check.require(settings.oracle, "report.oracle", settings.base, split: split, count: nil)
      }
    }
  }

  /// - Parameters:
  ///   - split: nil: the held-out split
  ///   - count: the number of the split's first prompts that are scored; nil: all
  private func require(
    _ oracle: Oracle, _ setting: String, _ model: ModelFolder, split: String?, count: Int?
  ) throws {
    guard oracle != .none, let prompts = try prompts(of: split) else { return }
    try oracle.requireFit(
      model, setting: setting, prompts: Array(prompts.prefix(count ?? prompts.count)),
      from: "split \(split ?? "validation")")
  }

  /// Returns the prompts in the order of the shards; nil: unknown from what exists.
  private func prompts(of split: String?) throws -> [String]? {
    if work.contains(where: { $0.ready.contains("shards") }) {
      let folder = workspace.path("shards")
      let shards =
        try split.map { try ShardSet(folder: folder, split: $0) } ?? .heldOut(in: folder)
      return try (0..<shards.promptCount).map { try shards.prompt($0).text }
    }
    guard work.contains(where: { $0.ready.contains(.catalog) }) else { return nil }
    let catalog = try CatalogDatabase(
      path: workspace.path(CatalogDatabase.fileName), access: .readOnly)
    let splits = try catalog.splits()
    let heldOut = split ?? ["validation_unique", "validation"].first(where: splits.contains)
    guard let only = splits.first, splits.count == 1 else {
      return try heldOut.map { try texts(catalog.prompts(inSplit: $0)) }
    }
    return try texts(
      catalog.prompts(inSplit: only).filter { $0.position < shard.validationFraction })
  }

  private func texts(_ prompts: [PromptRecord]) throws -> [String] {
    prompts.sorted { $0.sha256 < $1.sha256 }.map(\.text)
  }
}
