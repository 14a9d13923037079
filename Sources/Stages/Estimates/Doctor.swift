import Diffusion
public import Files
public import PipelineCore
import PreferenceModels
import TensorCore

/// Says of a pipeline what it will take, and what stands in its way.
public struct Doctor {
  /// About what one stage takes.
  public struct Forecast: Sendable {
    public let stage: String
    public let memory: MemoryNeed
    /// Bytes that it adds to the workspace, at most at one time.
    public let diskByteCount: Int
    public let seconds: Double
  }

  /// What is wrong, and what to do.
  public struct Problem: Sendable, CustomStringConvertible {
    public let what: String
    public let remedy: String
    public let kind: FailureKind
    public var description: String { "\(what); \(remedy)" }

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
  public private(set) var problems: [Problem] = []
  private let overrides: [String]
  private let limits: MachineLimits

  /// - Parameters:
  ///   - overrides: as the pipeline was given them
  ///   - makePipeline: reads the pipeline again with other overrides
  public init(
    overrides: [String] = [], limits: MachineLimits,
    makePipeline: ([String]) throws -> Pipeline
  ) throws {
    pipeline = try makePipeline(overrides)
    self.overrides = overrides
    self.limits = limits
    let stages = try pipeline.estimatingStages()
    problems += Self.missingSources(stages)
    guard problems.isEmpty else { return }
    let checked = CheckedModels()
    for stage in stages { try (stage as? any ModelReading)?.checkModels(checked) }
    try pipeline.checkFit()
    let scale = try PipelineScale(stages)
    let times = try Self.times(stages, scale)
    forecasts = try stages.map { stage in
      Forecast(
        stage: type(of: stage).name, memory: try stage.memory(scale),
        diskByteCount: try stage.diskByteCount(scale),
        seconds: Self.secondsAtLeast + (try stage.seconds(scale, times)))
    }
    for stage in stages {
      if let problem = try Self.memoryProblem(stage, scale, overrides, limits, makePipeline) {
        problems.append(problem)
      }
    }
    if let problem = try diskProblem(stages, scale, makePipeline) { problems.append(problem) }
  }

  /// To open, to make durable and to close: measured.
  private static let secondsAtLeast = 0.1

  public var diskByteCount: Int { forecasts.reduce(0) { $0 + $1.diskByteCount } }
  public var seconds: Double { forecasts.reduce(0) { $0 + $1.seconds } }
}

// MARK: - What is missing

extension Doctor {
  /// What settings name and is not there, each once.
  private static func missingSources(_ stages: [any Estimating]) -> [Problem] {
    var seen: Set<String> = []
    return stages.flatMap { stage in
      stage.sources.filter { source in
        !SourceFile.isThere(source.path) && seen.insert(source.setting + source.path).inserted
      }
    }.map { source in
      let name = source.path.isEmpty ? "nothing is named" : "\(source.path) is not there"
      return Problem(
        what: "\(source.setting): \(name): \(source.what)",
        remedy: "put it there, or say where it is: --set "
          + (source.override ?? "\(source.setting)=PATH"), kind: .input)
    }
  }
}

// MARK: - What does not fit

extension Doctor {
  /// Refuses a stage that the machine's memory cannot hold, with the settings that would change it.
  static func memoryProblem(
    _ stage: any Estimating, _ scale: PipelineScale, _ overrides: [String], _ limits: MachineLimits,
    _ makePipeline: ([String]) throws -> Pipeline
  ) throws -> Problem? {
    let need = try stage.memory(scale)
    guard need.byteCount > limits.memory else { return nil }
    let name = type(of: stage).name
    // The settings one after the other, until it fits.
    var changes: [String] = []
    var less = need
    for saving in stage.savings {
      changes.append(saving)
      let stages = try makePipeline(overrides + changes).estimatingStages()
      guard let thriftier = stages.first(where: { type(of: $0).name == name }) else { continue }
      less = try thriftier.memory(scale)
      guard less.byteCount <= limits.memory else { continue }
      return Problem(
        what: "\(name) needs about \(ByteCount.text(need.byteCount)), but the machine can spare "
          + ByteCount.text(limits.memory) + limits.memoryNote,
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
        "\(name) needs about \(ByteCount.text(need.byteCount))\(least), but the machine can spare "
        + ByteCount.text(limits.memory) + limits.memoryNote
        + (largest.map { " (\(ByteCount.text($0.byteCount)) for \($0.what))" } ?? ""),
      remedy: (limits.memoryNote.isEmpty
        ? "take a machine with more memory" : "raise the limit")
        + (stage.sources.contains { $0.setting == "model" }
          ? ", or a smaller model or one whose weights are F16: --set model=PATH" : ""),
      kind: .space)
  }

  /// Refuses a pipeline that the disk cannot hold, in the same way.
  private func diskProblem(
    _ stages: [any Estimating], _ scale: PipelineScale,
    _ makePipeline: ([String]) throws -> Pipeline
  ) throws -> Problem? {
    guard let free = limits.freeDisk, diskByteCount > free else { return nil }
    let largest = forecasts.max { $0.diskByteCount < $1.diskByteCount }
    let what =
      "\(pipeline.workspacePath): the pipeline writes about \(ByteCount.text(diskByteCount)), "
      + "but \(ByteCount.text(free)) are free"
      + (largest.map { " (most in \($0.stage): \(ByteCount.text($0.diskByteCount)))" } ?? "")
    let elsewhere = "free some space or choose another place: --workspace DIR"
    var changes: [String] = []
    var less = diskByteCount
    for saving in stages.flatMap(\.diskSavings) {
      changes.append(saving)
      less = try makePipeline(overrides + changes).estimatingStages().reduce(0) {
        $0 + (try $1.diskByteCount(scale))
      }
      guard less <= free else { continue }
      return Problem(
        what: what,
        remedy: "set \(changes.joined(separator: ", ")): then it writes about "
          + "\(ByteCount.text(less)); or \(elsewhere)", kind: .space)
    }
    guard less < diskByteCount else { return Problem(what: what, remedy: elsewhere, kind: .space) }
    return Problem(
      what: what + ", and, with \(changes.joined(separator: ", ")), still \(ByteCount.text(less))",
      remedy: elsewhere, kind: .space)
  }
}

/// Refuses stages whose models cannot be used, or that the machine's memory cannot hold, before the first of
/// them runs.
public struct MemoryCheck {
  private let checked = CheckedModels()
  private let overrides: [String]
  private let limits: MachineLimits
  private let makePipeline: ([String]) throws -> Pipeline

  /// As of ``Doctor``.
  public init(
    overrides: [String], limits: MachineLimits,
    makePipeline: @escaping ([String]) throws -> Pipeline
  ) {
    self.overrides = overrides
    self.limits = limits
    self.makePipeline = makePipeline
  }

  /// - Throws: `Doctor.Refusal`; what is wrong with a model
  public func require(_ stage: any Stage) throws {
    try (stage as? any ModelReading)?.checkModels(checked)
    // What is missing or damaged is for the stage itself to say.
    guard let stage = stage as? any Estimating,
      let scale = try? PipelineScale(
        try makePipeline(overrides).estimatingStages(), looksAtData: false),
      let problem = try? Doctor.memoryProblem(stage, scale, overrides, limits, makePipeline)
    else { return }
    throw Doctor.Refusal(problem: problem)
  }
}

// MARK: - What estimates start from

extension Pipeline {
  func estimatingStages() throws -> [any Estimating] {
    try madeStages().compactMap { $0 as? any Estimating }
  }
}

extension PipelineScale {
  /// What the stages' settings say of one another, and what there is of data.
  init(_ stages: [any Estimating], looksAtData: Bool = true) throws {
    for stage in stages {
      switch stage {
      case let ingest as Ingest: if looksAtData { volume = try ingest.volume() }
      case let encode as Encode:
        pictureSide = encode.settings.size
        let model = try ModelParts(encode.settings.model, self)
        latentByteCount = model.latentByteCount(encode.settings.latents)
        promptByteCount = try model.promptByteCount()
      case let train as TrainPreference:
        preference = try train.judge(self)
        preferencePrecision = train.settings.precision
      case let tune as TuneSPO:
        tuning = tune.settings
        guard let judge = try tune.givenJudge(self) else { break }
        preference = judge.parts
        preferencePrecision = judge.precision
      default: break
      }
    }
  }
}

extension Doctor {
  private static func times(
    _ stages: [any Estimating], _ scale: PipelineScale
  ) throws -> ModelTimes {
    let encode = stages.lazy.compactMap { $0 as? Encode }.first
    return try ModelTimes(
      try encode.map { try ModelParts($0.settings.model, scale) }, scale.preference)
  }
}

/// What a machine has.
public struct MachineLimits: Sendable {
  /// Bytes that a run may take.
  public var memory: Int
  /// What limits it, for messages: `, limited by ...`; empty for the machine itself.
  public var memoryNote: String
  /// Bytes that are free where the workspace is; nil if the system does not tell.
  public var freeDisk: Int?

  public init(memory: Int, memoryNote: String = "", freeDisk: Int?) {
    self.memory = memory
    self.memoryNote = memoryNote
    self.freeDisk = freeDisk
  }

  /// This machine's and this process's; a tenth of the memory is left to the system.
  ///
  /// - Parameter path: of the workspace, which need not be there yet
  public static func here(_ path: String) -> MachineLimits {
    let limit = MemoryLimit.current
    return MachineLimits(
      memory: limit.byteCount / 10 * 9, memoryNote: limit.note, freeDisk: DiskSpace.free(at: path))
  }
}
