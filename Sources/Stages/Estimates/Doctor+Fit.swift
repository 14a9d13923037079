import Backends
import Catalog
import Files
import HostResources
import PipelineCore
import StageSupport

extension Doctor {
  /// Refuses a stage that the machine's memory, or that of its device, cannot hold, with the settings that would
  /// change it.
  static func memoryProblem(
    _ stage: any Estimating, _ need: MemoryNeed, _ scale: PipelineScale, _ overrides: [String],
    _ limits: MachineLimits, _ makePipeline: ([String]) throws -> Pipeline
  ) throws -> Problem? {
    guard let shortage = limits.shortage(for: need) else { return nil }
    let name = type(of: stage).name
    var savings = stage.savings
    if shortage.isOnDevice, limits.device?.activations == .single { savings.append(halfPrecision) }
    var less = need
    func isEnough() -> Bool { shortage.byteCount(less) <= shortage.limit }
    let found = try Self.changes(savings, until: isEnough) {
      let stages = try makePipeline(overrides + $0).estimatingStages()
      guard let thriftier = stages.first(where: { type(of: $0).name == name }) else { return }
      var device = limits.device
      if $0.contains(halfPrecision) { device?.activations = .half(.binary16) }
      less = limits.need(of: try thriftier.plan(scale, on: device.planningBackend))
    }
    let (needed, least) = (ByteCount.text(shortage.byteCount(need)), shortage.byteCount(less))
    guard !found.isEnough else {
      return Problem(
        what: "\(name) needs about \(needed)\(shortage.place), but \(shortage.description)",
        remedy: "set \(found.text): then it needs about \(ByteCount.text(least))", kind: .space)
    }
    let largest = shortage.parts(less).max { $0.byteCount < $1.byteCount }
    return Problem(
      what: "\(name) needs about \(needed)\(shortage.place)"
        + (found.text.isEmpty ? "" : " and, with \(found.text), still \(ByteCount.text(least))")
        + ", but \(shortage.description)"
        + (largest.map { " (\(ByteCount.text($0.byteCount)) for \($0.what))" } ?? ""),
      remedy: shortage.remedy(least)
        + (stage.sources.contains { $0.setting == "model" }
          ? ", or a smaller model or one whose weights are F16: --set model=PATH" : ""),
      kind: .space)
  }

  /// Halves what activations take on a device.
  private static let halfPrecision = "device_precision=f16"

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
    var less = plan.byteCount
    let savings = try pipeline.estimatingStages().flatMap(\.diskSavings)
    func isEnough() -> Bool { less <= free }
    let found = try Self.changes(savings, until: isEnough) {
      let stages = try makePipeline(overrides + $0).estimatingStages()
      less = try DiskPlan(work, stages, scale, cached: cached).byteCount
    }
    guard !found.isEnough else {
      return Problem(
        what: what,
        remedy: "set \(found.text): then it writes about \(ByteCount.text(less)); or \(elsewhere)",
        kind: .space)
    }
    return Problem(
      what: what
        + (less < plan.byteCount ? ", and, with \(found.text), still \(ByteCount.text(less))" : ""),
      remedy: elsewhere, kind: .space)
  }

  /// Makes one change of settings after the other until they are enough.
  private static func changes(
    _ savings: [String], until isEnough: () -> Bool, _ change: ([String]) throws -> Void
  ) rethrows -> (text: String, isEnough: Bool) {
    var made: [String] = []
    for saving in savings where !isEnough() {
      made.append(saving)
      try change(made)
    }
    return (made.joined(separator: ", "), isEnough())
  }
}
