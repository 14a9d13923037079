import Backends
import Catalog
import DataStages
public import Files
import HostResources
package import PipelineCore
package import StageSupport

/// What a pipeline needs beside what there is.
struct PipelineCheck {
  let overrides: [String]
  var limits: MachineLimits
  /// Reads the pipeline again with other overrides.
  let makePipeline: ([String]) throws -> Pipeline

  /// Halves what activations take on a device.
  private static let halfPrecision = "device_precision=f16"

  func need(of stage: any Estimating, _ scale: PipelineScale) throws -> MemoryNeed {
    limits.need(of: try stage.plan(scale, on: limits.device.planningBackend))
  }

  /// What is wrong where the machine's memory, or that of its device, cannot hold a stage, with the settings that
  /// would change it.
  func memoryProblem(
    _ stage: any Estimating, needing need: MemoryNeed, _ scale: PipelineScale
  ) throws -> Problem? {
    guard let place = limits.shortage(for: need) else { return nil }
    let (name, limit) = (type(of: stage).name, limits.byteCount(in: place))
    var savings = stage.savings
    if place == .device, limits.device?.activations == .single {
      savings.append(Self.halfPrecision)
    }
    var (less, changes) = (need, [String]())
    for saving in savings where less.byteCount(in: place) > limit {
      changes.append(saving)
      var thriftier = self
      if saving == Self.halfPrecision { thriftier.limits.device?.activations = .half(.binary16) }
      let stages = try makePipeline(overrides + changes).estimatingStages()
      if let stage = stages.first(where: { type(of: $0).name == name }) {
        less = try thriftier.need(of: stage, scale)
      }
    }
    let set = changes.joined(separator: ", ")
    let (needed, least) = (need.byteCount(in: place), less.byteCount(in: place))
    let refusal = limits.refusal(of: needed, in: place)
    guard least > limit else {
      return Problem(
        "\(name) needs about \(refusal.need), but \(refusal.limit)",
        remedy: "set \(set): then it needs about \(ByteCount.text(least))", .space)
    }
    let largest = less.parts(in: place).max { $0.byteCount < $1.byteCount }
    return Problem(
      "\(name) needs about \(refusal.need)"
        + (set.isEmpty ? "" : " and, with \(set), still \(ByteCount.text(least))")
        + ", but \(refusal.limit)"
        + (largest.map { " (\(ByteCount.text($0.byteCount)) for \($0.what))" } ?? ""),
      remedy: limits.remedy(for: least, in: place)
        + (stage.sources.contains { $0.setting == "model" }
          ? ", or a smaller model or one whose weights are F16: --set model=PATH" : ""),
      .space)
  }

  /// What is wrong where the disk cannot hold what is written, in the same way.
  func diskProblem(_ work: [PlannedWork], _ scale: PipelineScale) throws -> Problem? {
    guard let free = limits.freeDisk else { return nil }
    let workspace = try makePipeline(overrides).workspacePath
    let cached = Folders.byteCount(of: "\(workspace)/\(CacheDatabase.fileName)")
    func plan(_ changes: [String]) throws -> DiskPlan {
      let stages = try makePipeline(overrides + changes).estimatingStages()
      return try DiskPlan(work, stages, scale, cached: cached)
    }
    let whole = try plan([])
    guard whole.byteCount > free else { return nil }
    var (less, changes) = (whole.byteCount, [String]())
    let savings = try makePipeline(overrides).estimatingStages().flatMap(\.diskSavings)
    for saving in savings where less > free {
      changes.append(saving)
      less = try plan(changes).byteCount
    }
    let set = changes.joined(separator: ", ")
    let what = "\(workspace): \(whole.description), but only \(ByteCount.text(free)) is free"
    let elsewhere = "free some space or choose another place: --workspace DIR"
    guard less > free else {
      return Problem(
        what, remedy: "set \(set): then it writes about \(ByteCount.text(less)); or \(elsewhere)",
        .space)
    }
    return Problem(
      what + (less < whole.byteCount ? ", and, with \(set), still \(ByteCount.text(less))" : ""),
      remedy: elsewhere, .space)
  }

  /// Refuses data that the stages could not use.
  ///
  /// - Parameter volume: nil: not known
  func requireData(for work: [PlannedWork], _ volume: DataVolume?) throws {
    let pipeline = try makePipeline(overrides)
    try GoneSources.require(for: work)
    try HeldOutData.require(for: work, of: pipeline, volume)
    try ReportedSplit.require(for: work, of: pipeline)
    try OraclePrompts.require(for: work, of: pipeline)
  }
}

/// What ends a run before it begins, and what to do.
public struct Problem: ClassifiedError, CustomStringConvertible {
  public let what: String
  public let remedy: String
  public let kind: FailureKind
  public var description: String { remedy.isEmpty ? what : "\(what); \(remedy)" }

  init(_ what: String, remedy: String = "", _ kind: FailureKind) {
    self.what = what
    self.remedy = remedy
    self.kind = kind
  }
}

extension Pipeline {
  package func estimatingStages() throws -> [any Estimating] {
    try madeStages().compactMap { $0 as? any Estimating }
  }
}
