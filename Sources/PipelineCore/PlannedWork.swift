import Files

/// A stage that has something to do.
public struct PlannedWork {
  public let stage: any Stage
  /// The stage's inputs that already exist.
  public let ready: Set<Artifact>
  /// Bytes of the new result that an earlier run has already written.
  public let builtByteCount: Int
  /// Bytes of the finished result, which stays until the new one is complete.
  public let replacedByteCount: Int

  public init(
    stage: any Stage, ready: Set<Artifact> = [], builtByteCount: Int = 0,
    replacedByteCount: Int = 0
  ) {
    self.stage = stage
    self.ready = ready
    self.builtByteCount = builtByteCount
    self.replacedByteCount = replacedByteCount
  }

  init(_ step: Planner.Step, in workspace: Workspace) throws {
    let ownPaths = step.configured.ownPaths(in: workspace)
    let files = step.record?.result?.files.values.reduce(0) { $0 + $1.byteCount } ?? 0
    // A repair happens in place.
    let isRepair = if case .repair = step.work { true } else { false }
    self.init(
      stage: step.stage, ready: step.ready,
      builtByteCount: isRepair
        ? files
        : step.work == .build(resumes: true)
          ? try ownPaths.builtFiles().reduce(0) {
            $0 + Folders.byteCount(of: ownPaths.building($1))
          }
          : 0,
      replacedByteCount: isRepair ? 0 : files)
  }
}

extension Pipeline {
  /// Returns the stages that have something to do, or may have, in order.
  ///
  /// Touched inputs are assumed unchanged, so that nothing large is read.
  public func plannedWork() throws -> [PlannedWork] {
    let workspace = Workspace(path: workspacePath)
    guard Folders.exists(workspacePath) else {
      return try madeStages().map { PlannedWork(stage: $0) }
    }
    let digests = FileDigests(savedAt: workspace.digestsPath, budget: 0)
    return try Planner.steps(of: self, digests).filter { $0.work != .nothing }
      .map { try PlannedWork($0, in: workspace) }
  }
}
