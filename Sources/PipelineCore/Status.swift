public import Files

/// The status of one stage of a pipeline.
public struct StageStatus: Equatable, Sendable {
  public var name: String
  public var state: StageState
  /// Why it is not done: which setting or input changed, from what to what.
  public var reasons: [String]
  public var unit: String
  public var unitsDone: Int
  public var unitsTotal: Int
  public var rejections: [String: Int]
  /// The working time so far.
  public var seconds: Double
  /// The peak memory so far, in bytes; 0 if unknown.
  public var peakMemory: Int
  /// The files of a finished result that stay until a new one is complete.
  public var replaced: [String]
  /// Inputs that were touched and are too large to be compared now; the next run compares them.
  public var unread: [String]
  /// The status of the parts; nil if there are none.
  public var parts: PartsStatus?
  /// Estimated from the rate so far, or from the last run; nil if there was none.
  public var secondsLeft: Double?

  public var json: JSON {
    [
      "stage": .string(name), "state": .string(state.rawValue),
      "why": .array(reasons.map { .string($0) }), "unit": .string(unit),
      "units_done": .integer(unitsDone), "units_total": .integer(unitsTotal),
      "rejects": .integer(rejections.values.reduce(0, +)), "seconds": .number(seconds),
      "peak_memory": .integer(peakMemory),
      "replaces": .array(replaced.map { .string($0) }),
      "unread": .array(unread.map { .string($0) }),
      "parts": parts?.json ?? .null,
      "seconds_left": secondsLeft.map { .number($0) } ?? .null,
    ]
  }
}

extension Pipeline {
  /// Returns the status of each stage.
  ///
  /// Changes nothing, so it may be called while the pipeline runs.
  ///
  /// - Throws: ``WorkspaceError`` for a folder in which a run would refuse to work
  public func status() throws -> [StageStatus] {
    let workspace = try usableWorkspace()
    let digests = FileDigests(savedAt: workspace.digestsPath, budget: Self.statusBudget)
    return try Planner.steps(of: self, trustsLostInputs: true, digests).map { step in
      // The run of the present result, not of another attempt.
      let run = step.state == .done ? step.record?.result?.run : step.record?.run
      return StageStatus(
        name: step.configured.name, state: step.state,
        reasons: try step.reasons + step.obstacles(in: workspace, digests)
          + step.attempts(in: workspace),
        unit: step.configured.unit, unitsDone: step.state == .stale ? 0 : run?.unitsDone ?? 0,
        unitsTotal: run?.unitsTotal ?? 0, rejections: run?.rejections ?? [:],
        seconds: run?.seconds ?? 0, peakMemory: run?.peakMemory ?? 0, replaced: step.replaced,
        unread: step.unread, parts: try step.partsStatus(in: workspace),
        secondsLeft: Self.secondsLeft(step))
    }
  }

  /// The bytes that may be read to see whether touched files have changed: a few seconds.
  private static let statusBudget = 4 << 30

  private static func secondsLeft(_ step: Planner.Step) -> Double? {
    guard step.state != .done else { return 0 }
    guard let run = step.record?.run, run.unitsDone > 0 else { return nil }
    // Other settings may change the units, or their size.
    guard run.basis.effectiveSettings.sorted == step.basis.effectiveSettings.sorted else {
      return nil
    }
    let pace = run.seconds / Double(run.unitsDone)
    let unitsLeft = step.state == .stale ? run.unitsTotal : run.unitsTotal - run.unitsDone
    return pace * Double(unitsLeft)
  }
}

extension Planner.Step {
  /// Returns attempts with other settings or inputs that are kept.
  fileprivate func attempts(in workspace: Workspace) throws -> [String] {
    var runs = try Attempts(at: configured, in: workspace).all().map(\.run)
    if let record, record.phase == .building, state != .partial { runs.append(record.run) }
    return runs.filter { $0.unitsDone > 0 }.compactMap { run in
      let changes = basis.changes(since: run.basis)
      // A finished forced rebuild: nothing resumes it.
      guard state != .done || !changes.isEmpty else { return nil }
      return
        "started with different settings: \(run.unitsDone) of \(run.unitsTotal) \(configured.unit)"
        + (changes.isEmpty ? "" : " (\(changes.joined(separator: "; ")))")
        + "; it resumes if those settings are used again, and spo gc removes it"
    }
  }

  /// Returns the files that a run would refuse to overwrite.
  fileprivate func obstacles(in workspace: Workspace, _ digests: FileDigests) throws -> [String] {
    guard work != .nothing else { return [] }
    do {
      try requireOwnPaths(in: workspace, digests)
      return []
    } catch let error as WorkspaceError { return ["\(error)"] }
  }
}
