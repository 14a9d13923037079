public import Backends
import DataStages
import Diffusion
import Files
public import PipelineCore
public import StageSupport

/// Says of a pipeline what it will take, and what stands in its way.
public struct Doctor {
  /// About what one stage takes.
  public struct Forecast: Sendable {
    public let stage: String
    public let memory: MemoryNeed
    /// Bytes that it adds to the workspace, at most at one time.
    public let diskByteCount: Int
    /// Nil where no rates are given.
    public let seconds: Double?
  }

  public let pipeline: Pipeline
  public private(set) var forecasts: [Forecast] = []
  /// The stages of the pipeline that are not ``Estimating``.
  public let notEstimated: [String]
  /// What was assumed.
  public private(set) var notes: [String] = []
  public private(set) var problems: [Problem] = []
  /// What parts take, where they were asked for.
  public private(set) var parts: [PartForecast] = []
  /// How many parts were asked for.
  public let partCount: Int?
  private let check: PipelineCheck
  /// Nil: the CPU.
  public var device: PlannedDevice? { check.limits.device }

  /// - Parameters:
  ///   - overrides: as the pipeline was given them
  ///   - rates: how fast this processor is, or the device of the limits; nil: times are not estimated
  ///   - partCount: into how many parts stages would be divided; nil: not asked
  ///   - makePipeline: reads the pipeline again with other overrides
  public init(
    overrides: [String] = [], limits: MachineLimits, rates: OperationRates?, partCount: Int? = nil,
    makePipeline: @escaping ([String]) throws -> Pipeline
  ) throws {
    self.partCount = partCount
    check = PipelineCheck(overrides: overrides, limits: limits, makePipeline: makePipeline)
    pipeline = try makePipeline(overrides)
    try pipeline.checkOrder()
    let (all, stages) = (try pipeline.madeStages(), try pipeline.estimatingStages())
    notEstimated = all.filter { !($0 is any Estimating) }.map { type(of: $0).name }
    let missing = MissingSources(of: stages, in: stages).sources
    problems += missing.map(\.problem)
    if missing.isEmpty {
      // Models of different kinds are said to be that, before any is read further.
      try ModelAgreement(all).check()
      let checked = CheckedModels()
      for stage in stages { try (stage as? any ModelReading)?.checkModels(checked) }
      try pipeline.checkFit()
    }
    guard let standIns = StandIns(missing) else { return }
    notes = standIns.notes + Self.fileSystemNotes(pipeline)
    try PublishedModel.$standIns.withValue(standIns.models) {
      func forecast() throws {
        let scale = try PipelineScale(stages, standIns: standIns)
        try self.forecast(stages, scale, rates)
        // Where something is missing, nothing is known to be done.
        let work = try missing.isEmpty ? pipeline.plannedWork() : all.map { PlannedWork(stage: $0) }
        problems += try [check.diskProblem(work, scale)].compactMap { $0 }
        if missing.isEmpty { try checkData(for: work, scale) }
      }
      guard !missing.isEmpty else { return try forecast() }
      // What is known of a model shows what does not suit it, too; what is missing is still said.
      do {
        try pipeline.checkFit()
        try forecast()
      } catch let error as any ClassifiedError {
        problems.insert(Problem("\(error)", error.kind), at: 0)
      }
    }
  }

  private mutating func forecast(
    _ stages: [any Estimating], _ scale: PipelineScale, _ rates: OperationRates?
  ) throws {
    forecasts = try stages.map { stage in
      let plan = try stage.plan(scale, on: device.planningBackend)
      return Forecast(
        stage: type(of: stage).name, memory: check.limits.need(of: plan),
        diskByteCount: try stage.diskByteCount(scale),
        seconds: rates.flatMap { plan.seconds(at: $0) }.map { Self.secondsAtLeast + $0 })
    }
    if let partCount {
      parts = try zip(stages, forecasts).compactMap { stage, forecast in
        try PartForecast(stage, forecast, scale, count: partCount, on: device, rates)
      }
    }
    problems += try zip(stages, forecasts).compactMap { stage, forecast in
      try check.memoryProblem(stage, needing: forecast.memory, scale)
    }
  }

  private mutating func checkData(for work: [PlannedWork], _ scale: PipelineScale) throws {
    try check.requireData(for: work, scale.volume)
    notes += try GoneSources.notes(on: work)
    if work.contains(where: { $0.stage is Ingest }),
      HeldOutData.learnsFromComparisons(try pipeline.madeStages())
    {
      try scale.volume.requireDifferentImages()
    }
  }

  /// To open, to make durable and to close: measured.
  private static let secondsAtLeast = 0.1

  public var diskByteCount: Int { forecasts.reduce(0) { $0 + $1.diskByteCount } }
  public var seconds: Double? {
    let known = forecasts.compactMap(\.seconds)
    return known.count == forecasts.count ? known.reduce(0, +) : nil
  }

  /// Where a workspace is on a file system that SQLite and locks cannot rely on.
  private static func fileSystemNotes(_ pipeline: Pipeline) -> [String] {
    let kind = FileSystemKind(at: pipeline.workspacePath)
    guard kind.isShared else { return [] }
    return [
      "\(pipeline.workspacePath) is on \(kind.rawValue), a shared file system: databases are written there "
        + "without a log, which is slower, and lock.owner locks out other machines; "
        + "--merge --scratch DIR builds databases on a local disk"
    ]
  }
}
