import Files

/// A stage that has something to do.
public struct PlannedWork {
  public let stage: any Stage
  /// What it reads and is there already.
  public let ready: Set<Artifact>
  /// Bytes that an earlier run has made of the new result.
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
    // What is repaired stays where it is.
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
  /// The stages that would have something to do, or may have, in their order.
  ///
  /// Inputs that were touched are taken to be what they were, so that nothing large is read.
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
