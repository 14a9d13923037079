package import Backends
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
    /// Nil where the memory does not suffice to measure it.
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

  /// - Parameters:
  ///   - overrides: as the pipeline was given them
  ///   - rates: how fast this processor is
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
    let cache = rates.cache
    var known =
      rates == .measuredAnew ? OperationRates() : cache?.read() ?? OperationRates(assuming: 1e-11)
    forecasts = try stages.map { stage in
      let plan = try stage.plan(scale, activations: pipeline.plannedActivations)
      return Forecast(
        stage: type(of: stage).name, memory: plan.memory,
        diskByteCount: try stage.diskByteCount(scale),
        seconds: Self.secondsAtLeast + plan.seconds(at: &known))
    }
    if let partCount {
      parts = try zip(stages, forecasts).compactMap { stage, forecast in
        try PartForecast(stage, forecast, scale, count: partCount, &known)
      }
    }
    cache?.write(known)
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

  /// How fast a processor is.
  public enum Rates: Sendable {
    /// This one, as measured; kept in the user's cache folder.
    case measured
    /// The same, without those that are kept, in whose place the new ones are.
    case measuredAnew
    /// 100 GFLOP/s and as many GB/s, whatever there is.
    case assumed

    fileprivate var cache: RateCache? {
      self == .assumed ? nil : RateCache(folder: RateCache.userFolder)
    }
  }

  public var diskByteCount: Int { forecasts.reduce(0) { $0 + $1.diskByteCount } }
  public var seconds: Double? {
    let known = forecasts.compactMap(\.seconds)
    return known.count == forecasts.count ? known.reduce(0, +) : nil
  }
}

extension Pipeline {
  /// In which format activations will lie, as far as the settings tell.
  var plannedActivations: NumberFormat {
    device == .host ? .single : devicePrecision.plannedActivations
  }
}

extension DevicePrecision {
  /// In which format activations lie where it is asked for.
  package var plannedActivations: NumberFormat { self == .half ? .half(.binary16) : .single }
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

// MARK: - What does not fit

extension Doctor {
  /// Refuses a stage that the machine's memory cannot hold, with the settings that would change it.
  static func memoryProblem(
    _ stage: any Estimating, _ need: MemoryNeed, _ scale: PipelineScale, _ overrides: [String],
    _ limits: MachineLimits, _ makePipeline: ([String]) throws -> Pipeline
  ) throws -> Problem? {
    guard need.byteCount > limits.memory else { return nil }
    let name = type(of: stage).name
    // The settings one after the other, until it fits.
    var changes: [String] = []
    var less = need
    for saving in stage.savings {
      changes.append(saving)
      let stages = try makePipeline(overrides + changes).estimatingStages()
      guard let thriftier = stages.first(where: { type(of: $0).name == name }) else { continue }
      less = try thriftier.plan(scale, activations: makePipeline(overrides).plannedActivations)
        .memory
      guard less.byteCount <= limits.memory else { continue }
      return Problem(
        what: "\(name) needs about \(ByteCount.text(need.byteCount)), but the machine has only "
          + ByteCount.text(limits.memory) + limits.memoryLimit.note,
        remedy: "set \(changes.joined(separator: ", ")): then it needs about "
          + ByteCount.text(less.byteCount), kind: .space)
    }
    let least =
      changes.isEmpty
      ? ""
      : " and, with \(changes.joined(separator: ", ")), still \(ByteCount.text(less.byteCount))"
    let largest = less.parts.max { $0.byteCount < $1.byteCount }
    return Problem(
      what:
        "\(name) needs about \(ByteCount.text(need.byteCount))\(least), but the machine has only "
        + ByteCount.text(limits.memory) + limits.memoryLimit.note
        + (largest.map { " (\(ByteCount.text($0.byteCount)) for \($0.what))" } ?? ""),
      remedy: limits.memoryLimit.remedy(for: less.byteCount / 9 * 10)
        + (stage.sources.contains { $0.setting == "model" }
          ? ", or a smaller model or one whose weights are F16: --set model=PATH" : ""),
      kind: .space)
  }

  /// Refuses work that the disk cannot hold, in the same way.
  static func diskProblem(
    _ work: [PlannedWork], _ scale: PipelineScale, _ overrides: [String], _ limits: MachineLimits,
    _ makePipeline: ([String]) throws -> Pipeline
  ) throws -> Problem? {
    guard let free = limits.freeDisk else { return nil }
    let pipeline = try makePipeline(overrides)
    let cached = Folders.byteCount(of: "\(pipeline.workspacePath)/\(CacheDatabase.fileName)")
    let plan = try DiskPlan(work, try pipeline.estimatingStages(), scale, cached: cached)
    guard plan.byteCount > free else { return nil }
    let what =
      "\(pipeline.workspacePath): \(plan.description), but only \(ByteCount.text(free)) is free"
    let elsewhere = "free some space or choose another place: --workspace DIR"
    var changes: [String] = []
    var less = plan.byteCount
    for saving in try pipeline.estimatingStages().flatMap(\.diskSavings) {
      changes.append(saving)
      let stages = try makePipeline(overrides + changes).estimatingStages()
      less = try DiskPlan(work, stages, scale, cached: cached).byteCount
      guard less <= free else { continue }
      return Problem(
        what: what,
        remedy: "set \(changes.joined(separator: ", ")): then it writes about "
          + "\(ByteCount.text(less)); or \(elsewhere)", kind: .space)
    }
    guard less < plan.byteCount else {
      return Problem(what: what, remedy: elsewhere, kind: .space)
    }
    return Problem(
      what: what + ", and, with \(changes.joined(separator: ", ")), still \(ByteCount.text(less))",
      remedy: elsewhere, kind: .space)
  }
}

// MARK: - What estimates start from

extension Pipeline {
  package func estimatingStages() throws -> [any Estimating] {
    try madeStages().compactMap { $0 as? any Estimating }
  }
}

/// What a machine has.
public struct MachineLimits: Sendable {
  /// Bytes that a run may take.
  public var memory: Int
  /// What limits the memory.
  public var memorySource: MemoryLimit.Source
  /// Bytes that are free where the workspace is; nil if the system does not tell.
  public var freeDisk: Int?

  public init(
    memory: Int, memorySource: MemoryLimit.Source = .machine, freeDisk: Int?
  ) {
    self.memory = memory
    self.memorySource = memorySource
    self.freeDisk = freeDisk
  }

  var memoryLimit: MemoryLimit { MemoryLimit(byteCount: memory, source: memorySource) }

  /// This machine's and this process's; a tenth of the memory is left to the system.
  ///
  /// - Parameter path: of the workspace, which need not be there yet
  public static func here(_ path: String) -> MachineLimits {
    let limit = MemoryLimit.current
    return MachineLimits(
      memory: limit.byteCount / 10 * 9, memorySource: limit.source,
      freeDisk: DiskSpace.free(at: path))
  }
}
