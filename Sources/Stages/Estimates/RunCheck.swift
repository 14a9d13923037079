import Catalog
import DataStages
public import PipelineCore
import StageSupport

/// Refuses what could not be finished before it begins: models that cannot be used, too little memory or disk,
/// data that training could not use.
public final class RunCheck {
  private let overrides: [String]
  private let limits: () -> MachineLimits
  private let makePipeline: ([String]) throws -> Pipeline
  private let checked = CheckedModels()
  /// The stages whose models and memory are in order.
  private var passed: Set<String> = []
  /// What the sources seem to hold.
  private var sampled: DataVolume?

  /// As of ``Doctor``; limits are asked for again before each stage.
  public init(
    overrides: [String], limits: @autoclosure @escaping () -> MachineLimits,
    makePipeline: @escaping ([String]) throws -> Pipeline
  ) {
    self.overrides = overrides
    self.limits = limits
    self.makePipeline = makePipeline
  }

  /// For `Runner`: all work before the first stage, then that of each stage.
  ///
  /// - Throws: `Doctor.Refusal`; what is wrong with a model or with the data
  public func require(_ work: [PlannedWork]) throws {
    let pipeline = try makePipeline(overrides)
    // What is missing or damaged is for the stages themselves to say.
    let volume = try? volume(of: work, pipeline.estimatingStages())
    for item in work where passed.insert(type(of: item.stage).name).inserted {
      try (item.stage as? any ModelReading)?.checkModels(checked)
      try requireMemory(item.stage, volume ?? DataVolume())
    }
    try GoneSources.require(for: work)
    try HeldOutData.require(for: work, of: pipeline, volume)
    try ReportedSplit.require(for: work, of: pipeline)
    try OraclePrompts.require(for: work, of: pipeline)
    let limits = limits()
    guard !work.isEmpty, limits.freeDisk != nil, let volume,
      let scale = try? PipelineScale(pipeline.estimatingStages(), volume: volume),
      let problem = try? Doctor.diskProblem(work, scale, overrides, limits, makePipeline)
    else { return }
    throw Doctor.Refusal(problem: problem)
  }

  /// For a part, which writes little and reads no more than it must: models and memory.
  ///
  /// - Throws: `Doctor.Refusal`; what is wrong with a model
  public func requirePart(_ work: [PlannedWork]) throws {
    for item in work {
      try (item.stage as? any ModelReading)?.checkModels(checked)
      try requireMemory(item.stage, DataVolume())
    }
  }

  private func requireMemory(_ stage: any Stage, _ volume: DataVolume) throws {
    let limits = limits()
    guard let stage = stage as? any Estimating, let pipeline = try? makePipeline(overrides),
      let scale = try? PipelineScale(pipeline.estimatingStages(), volume: volume),
      let plan = try? stage.plan(scale, on: limits.device.planningBackend),
      let problem = try? Doctor.memoryProblem(
        stage, limits.need(of: plan), scale, overrides, limits, makePipeline)
    else { return }
    throw Doctor.Refusal(problem: problem)
  }

  /// Counted in the catalog where it is complete, judged by the sources before that.
  private func volume(of work: [PlannedWork], _ stages: [any Estimating]) throws -> DataVolume {
    let path = "\(try makePipeline(overrides).workspacePath)/\(CatalogDatabase.fileName)"
    if !work.contains(where: { $0.stage is Ingest }), Folders.exists(path) {
      return try DataVolume(catalog: path)
    }
    guard let ingest = stages.lazy.compactMap({ $0 as? Ingest }).first else { return DataVolume() }
    let sampled = try sampled ?? ingest.volume()
    self.sampled = sampled
    return sampled
  }
}
