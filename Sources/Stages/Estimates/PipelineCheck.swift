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
    func changed(by changes: [String]) throws -> MemoryNeed {
      let stages = try makePipeline(overrides + changes).estimatingStages()
      guard let stage = stages.first(where: { type(of: $0).name == name }) else { return need }
      var thriftier = self
      if changes.contains(Self.halfPrecision) {
        thriftier.limits.device?.activations = .half(.binary16)
      }
      return try thriftier.need(of: stage, scale)
    }
    let (changes, less) = try Self.changes(savings, from: need, to: limit, changed) {
      $0.byteCount(in: place)
    }
    let set = Self.words(changes)
    let (needed, least) = (need.byteCount(in: place), less.byteCount(in: place))
    let refusal = limits.refusal(of: needed, in: place)
    guard least > limit else {
      return Problem(
        "\(name) needs about \(refusal.need), \(refusal.limit)",
        remedy: "set \(set): then it needs about \(ByteCount.text(least))", .space)
    }
    let largest = less.parts(in: place).max { $0.byteCount < $1.byteCount }
    return Problem(
      "\(name) needs about \(refusal.need)"
        + (set.isEmpty ? "" : " and, with \(set), still \(ByteCount.text(least))")
        + ", \(refusal.limit)"
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
    let savings = try makePipeline(overrides).estimatingStages().flatMap(\.diskSavings)
    func changed(by changes: [String]) throws -> Int { try plan(changes).byteCount }
    let (changes, less) = try Self.changes(savings, from: whole.byteCount, to: free, changed) { $0 }
    let set = Self.words(changes)
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

  /// The changes of settings that bring a need down to a limit, or as near as they can, and what is needed then.
  ///
  /// - Parameters:
  ///   - savings: the cheapest first
  ///   - change: what is needed with some of them
  private static func changes<Need>(
    _ savings: [String], from need: Need, to limit: Int, _ change: ([String]) throws -> Need,
    byteCount: (Need) -> Int
  ) rethrows -> (made: [String], need: Need) {
    var (made, less) = ([String](), need)
    for saving in savings where byteCount(less) > limit {
      made.append(saving)
      less = try change(made)
    }
    // What was tried before the one that helped may save nothing.
    for saving in made.reversed() {
      let fewer = made.filter { $0 != saving }
      let needed = try change(fewer)
      if byteCount(needed) <= max(limit, byteCount(less)) { (made, less) = (fewer, needed) }
    }
    return (made, less)
  }

  /// Settings as a shell takes them after `--set`.
  private static func words(_ settings: [String]) -> String {
    settings.map { $0.contains("\"") ? "'\($0)'" : $0 }.joined(separator: ", ")
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
