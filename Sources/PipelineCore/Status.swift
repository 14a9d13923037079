public import Files

/// How one stage of a pipeline stands.
public struct StageStatus: Equatable, Sendable {
  public var name: String
  public var state: StageState
  /// Why it is not done: which setting or input changed, from what to what.
  public var reasons: [String]
  public var unit: String
  public var unitsDone: Int
  public var unitsTotal: Int
  public var rejects: [String: Int]
  /// Time worked so far.
  public var seconds: Double
  /// The most memory it took so far, in bytes; 0 where that is not known.
  public var peakMemory: Int
  /// Judged by the pace so far, or by the last run; nil if there was none.
  public var secondsLeft: Double?

  public var json: JSON {
    [
      "stage": .string(name), "state": .string(state.rawValue),
      "why": .array(reasons.map { .string($0) }), "unit": .string(unit),
      "units_done": .integer(unitsDone), "units_total": .integer(unitsTotal),
      "rejects": .integer(rejects.values.reduce(0, +)), "seconds": .number(seconds),
      "peak_memory": .integer(peakMemory),
      "seconds_left": secondsLeft.map { .number($0) } ?? .null,
    ]
  }
}

extension Pipeline {
  /// How each stage stands.
  ///
  /// Changes nothing, so it may be asked while the pipeline runs.
  public func status() throws -> [StageStatus] {
    let workspace = Workspace(path: workspacePath)
    let digests = FileDigests(savedAt: workspace.digestsPath)
    let plan = try Plan(self, through: nil) { configured in
      StageContext(
        workspace: workspace, digests: digests,
        progress: StageProgress(stage: configured.name, unit: configured.unit) { _ in })
    }
    return plan.steps.map { step in
      let record = step.record
      return StageStatus(
        name: step.configured.name, state: step.state, reasons: step.reasons,
        unit: step.configured.unit, unitsDone: step.state == .stale ? 0 : record?.unitsDone ?? 0,
        unitsTotal: record?.unitsTotal ?? 0, rejects: record?.rejects ?? [:],
        seconds: record?.seconds ?? 0, peakMemory: record?.peakMemory ?? 0,
        secondsLeft: Self.secondsLeft(step))
    }
  }

  private static func secondsLeft(_ step: Plan.Step) -> Double? {
    guard step.state != .done else { return 0 }
    guard let record = step.record, record.unitsDone > 0 else { return nil }
    let pace = record.seconds / Double(record.unitsDone)
    let unitsLeft =
      step.state == .stale ? record.unitsTotal : record.unitsTotal - record.unitsDone
    return pace * Double(unitsLeft)
  }
}
