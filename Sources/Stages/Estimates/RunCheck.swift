import Catalog
import DataStages
public import PipelineCore
import StageSupport

/// Refuses what could not be finished before it begins: models that cannot be used, too little memory or disk,
/// data that training could not use.
public final class RunCheck {
  private let makeCheck: () -> PipelineCheck
  private let models = CheckedModels()
  /// The stages whose models and memory are in order.
  private var passed: Set<String> = []
  /// What the sources seem to hold.
  private var sampled: DataVolume?

  /// As of ``Doctor``; limits are asked for again before each stage.
  public init(
    overrides: [String], limits: @autoclosure @escaping () -> MachineLimits,
    makePipeline: @escaping ([String]) throws -> Pipeline
  ) {
    makeCheck = {
      PipelineCheck(overrides: overrides, limits: limits(), makePipeline: makePipeline)
    }
  }

  /// For `Runner`: all work before the first stage, then that of each stage.
  ///
  /// - Throws: ``Problem``; what is wrong with a model or with the data
  public func require(_ work: [PlannedWork]) throws {
    let check = makeCheck()
    let pipeline = try check.makePipeline(check.overrides)
    // What is missing or damaged is for the stages themselves to say.
    let volume = try? volume(of: work, pipeline)
    for item in work where passed.insert(type(of: item.stage).name).inserted {
      try requireModelsAndMemory(item.stage, pipeline, volume ?? DataVolume(), check)
    }
    try check.requireData(for: work, volume)
    if !work.isEmpty, check.limits.freeDisk != nil, let volume,
      let scale = try? PipelineScale(pipeline.estimatingStages(), volume: volume),
      let problem = try? check.diskProblem(work, scale)
    {
      throw problem
    }
  }

  /// For a part, which writes little and reads no more than it must: models and memory.
  ///
  /// - Throws: ``Problem``; what is wrong with a model
  public func requirePart(_ work: [PlannedWork]) throws {
    let check = makeCheck()
    let pipeline = try check.makePipeline(check.overrides)
    for item in work { try requireModelsAndMemory(item.stage, pipeline, DataVolume(), check) }
  }

  private func requireModelsAndMemory(
    _ stage: any Stage, _ pipeline: Pipeline, _ volume: DataVolume, _ check: PipelineCheck
  ) throws {
    let stages = try pipeline.estimatingStages()
    if let stage = stage as? any Estimating,
      let missing = MissingSources(of: [stage], in: stages).sources.first
    {
      throw missing.problem
    }
    try (stage as? any ModelReading)?.checkModels(models)
    if let stage = stage as? any Estimating,
      let scale = try? PipelineScale(stages, volume: volume),
      let need = try? check.need(of: stage, scale),
      let problem = try? check.memoryProblem(stage, needing: need, scale)
    {
      throw problem
    }
  }

  /// Counted in the catalog where it is complete, judged by the sources before that.
  private func volume(of work: [PlannedWork], _ pipeline: Pipeline) throws -> DataVolume {
    let path = "\(pipeline.workspacePath)/\(CatalogDatabase.fileName)"
    if !work.contains(where: { $0.stage is Ingest }), Folders.exists(path) {
      return try DataVolume(catalog: path)
    }
    let ingest = try pipeline.estimatingStages().lazy.compactMap { $0 as? Ingest }.first
    let sampled = try sampled ?? ingest?.volume() ?? DataVolume()
    self.sampled = sampled
    return sampled
  }
}
