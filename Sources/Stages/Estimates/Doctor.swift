import Backends
import Catalog
import DataStages
import Diffusion
public import Files
import HostResources
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
    /// Nil for a device that is not here.
    public let seconds: Double?
  }

  /// What is wrong, and what to do.
  public struct Problem: Sendable, CustomStringConvertible {
    public let what: String
    public let remedy: String
    public let kind: FailureKind
    public var description: String { remedy.isEmpty ? what : "\(what); \(remedy)" }

    /// - Parameter kind: what a run that meets the problem fails with
    public init(what: String, remedy: String, kind: FailureKind) {
      self.what = what
      self.remedy = remedy
      self.kind = kind
    }
  }

  /// What ends a run before it begins.
  public struct Refusal: ClassifiedError, CustomStringConvertible {
    public let problem: Problem
    public var kind: FailureKind { problem.kind }
    public var description: String { "\(problem)" }

    public init(problem: Problem) { self.problem = problem }
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
  private let overrides: [String]
  private let limits: MachineLimits
  /// Nil: the CPU.
  public var device: PlannedDevice? { limits.device }

  /// - Parameters:
  ///   - overrides: as the pipeline was given them
  ///   - rates: how fast this processor is, or the device of the limits
  ///   - partCount: into how many parts stages would be divided; nil: not asked
  ///   - makePipeline: reads the pipeline again with other overrides
  public init(
    overrides: [String] = [], limits: MachineLimits, rates: Rates, partCount: Int? = nil,
    makePipeline: ([String]) throws -> Pipeline
  ) throws {
    self.partCount = partCount
    pipeline = try makePipeline(overrides)
    self.overrides = overrides
    self.limits = limits
    try pipeline.checkOrder()
    notEstimated = try pipeline.madeStages().filter { !($0 is any Estimating) }
      .map { type(of: $0).name }
    let stages = try pipeline.estimatingStages()
    let missing = Self.missingSources(stages)
    problems += missing.map(\.problem)
    if missing.isEmpty {
      try ModelAgreement(try pipeline.madeStages()).check()
      let checked = CheckedModels()
      for stage in stages { try (stage as? any ModelReading)?.checkModels(checked) }
      try pipeline.checkFit()
    }
    guard let standIns = StandIns(missing) else { return }
    notes = standIns.notes + Self.fileSystemNotes(pipeline)
    try PublishedModel.$standIns.withValue(standIns.models) {
      func forecast() throws {
        try self.forecast(
          stages, try PipelineScale(stages, standIns: standIns), rates, isComplete: missing.isEmpty,
          makePipeline)
      }
      guard !missing.isEmpty else { return try forecast() }
      // What is known of a model shows what does not suit it, too; what is missing is still said.
      do {
        try pipeline.checkFit()
        try forecast()
      } catch let error as any ClassifiedError {
        problems.insert(Problem(what: "\(error)", remedy: "", kind: error.kind), at: 0)
      }
    }
  }

  private mutating func forecast(
    _ stages: [any Estimating], _ scale: PipelineScale, _ rates: Rates, isComplete: Bool,
    _ makePipeline: ([String]) throws -> Pipeline
  ) throws {
    let device = limits.device
    let cache = rates.cache(of: device?.measured)
    var known = cache?.read(isFresh: rates == .measuredAnew) ?? OperationRates(assuming: 1e-11)
    let isTimed = device == nil || device?.measured != nil
    forecasts = try stages.map { stage in
      let plan = try stage.plan(scale, on: device.planningBackend)
      return Forecast(
        stage: type(of: stage).name, memory: limits.need(of: plan),
        diskByteCount: try stage.diskByteCount(scale),
        seconds: isTimed ? Self.secondsAtLeast + plan.seconds(at: &known) : nil)
    }
    if let partCount {
      parts = try zip(stages, forecasts).compactMap { stage, forecast in
        try PartForecast(stage, forecast, scale, count: partCount, on: device, &known)
      }
    }
    if isTimed { cache?.write(known) }
    for (stage, forecast) in zip(stages, forecasts) {
      if let problem = try Self.memoryProblem(
        stage, forecast.memory, scale, overrides, limits, makePipeline)
      {
        problems.append(problem)
      }
    }
    // What is missing cannot be planned with.
    guard isComplete else { return }
    let work = try pipeline.plannedWork()
    let disk = try Self.diskProblem(work, scale, overrides, limits, makePipeline)
    if let disk { problems.append(disk) }
    try GoneSources.require(for: work)
    notes += try GoneSources.notes(on: work)
    try HeldOutData.require(for: work, of: pipeline, scale.volume)
    if work.contains(where: { $0.stage is Ingest }),
      HeldOutData.learnsFromComparisons(try pipeline.madeStages())
    {
      try scale.volume.requireDifferentImages()
    }
    try ReportedSplit.require(for: work, of: pipeline)
    try OraclePrompts.require(for: work, of: pipeline)
  }

  /// To open, to make durable and to close: measured.
  private static let secondsAtLeast = 0.1

  /// How fast a processor or a device is.
  public enum Rates: Sendable {
    /// As measured; kept in the user's cache folder.
    case measured
    /// The same, without those that are kept, in whose place the new ones are.
    case measuredAnew
    /// 100 GFLOP/s and as many GB/s, whatever there is.
    case assumed

    fileprivate func cache(of device: MeasuredDevice?) -> RateCache? {
      self == .assumed ? nil : RateCache(folder: RateCache.userFolder, device: device)
    }
  }

  public var diskByteCount: Int { forecasts.reduce(0) { $0 + $1.diskByteCount } }
  public var seconds: Double? {
    let known = forecasts.compactMap(\.seconds)
    return known.count == forecasts.count ? known.reduce(0, +) : nil
  }
}

// MARK: - What is missing

extension Doctor {
  /// What settings name and is not there, each once.
  private static func missingSources(_ stages: [any Estimating]) -> [NamedSource] {
    var seen: Set<String> = []
    return stages.flatMap { stage in
      stage.sources.filter { source in
        !SourceFile.isThere(source.path) && seen.insert(source.setting + source.path).inserted
      }
    }
  }
}

extension NamedSource {
  fileprivate var problem: Doctor.Problem {
    let name = path.isEmpty ? "no path is given" : "\(path) does not exist"
    return Doctor.Problem(
      what: "\(setting): \(name): \(what)",
      remedy: (HubName.remedy(path, isDataset: setting == "ingest.source")
        ?? "put it there, or give its path")
        + ": --set \(override ?? "\(setting)=PATH")",
      kind: .input)
  }
}

// MARK: - What estimates start from

extension Pipeline {
  package func estimatingStages() throws -> [any Estimating] {
    try madeStages().compactMap { $0 as? any Estimating }
  }
}
