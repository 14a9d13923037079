import Files

extension Pipeline {
  /// Returns the stages, instantiated for queries and not for a run.
  public func madeStages() throws -> [any Stage] {
    let workspace = Workspace(path: workspacePath)
    let digests = FileDigests(savedAt: workspace.digestsPath)
    return try stages.map { try $0.make(StageContext($0, in: workspace, digests)) }
  }

  /// Rejects stages that read what no earlier stage makes, or that make the same artifact.
  public func checkOrder() throws {
    var makers: [Artifact: String] = [:]
    for stage in try madeStages() {
      try stage.requireFollowing(makers)
      for artifact in stage.writes.keys { makers[artifact] = type(of: stage).name }
    }
  }
}

// MARK: - The workspace

extension Pipeline {
  /// Returns the workspace, whether or not it exists.
  ///
  /// - Throws: ``WorkspaceError`` if something else is there, so that no stage could run
  @discardableResult
  public func usableWorkspace() throws -> Workspace {
    let workspace = Workspace(path: workspacePath)
    try workspace.requireUsable(knowing: knownNames)
    return workspace
  }

  /// Returns the workspace if something was run in it.
  ///
  /// - Throws: ``WorkspaceError``
  func existingWorkspace() throws -> Workspace {
    guard Folders.isThere(workspacePath) else {
      throw WorkspaceError.absent(path: workspacePath, run: runCommand)
    }
    return try usableWorkspace()
  }
}

extension Stage {
  /// Rejects preceding stages that do not make what it reads, or that make what it writes.
  ///
  /// - Parameter makers: the names of the stages that make artifacts before it
  func requireFollowing(_ makers: [Artifact: String]) throws {
    for artifact in reads.sorted(by: { $0.name < $1.name }) where makers[artifact] == nil {
      throw PipelineError.noProducer(stage: Self.name, artifact: artifact.name)
    }
    for artifact in writes.keys.sorted(by: { $0.name < $1.name }) {
      guard let other = makers[artifact], other != Self.name else { continue }
      throw PipelineError.twoProducers(artifact: artifact.name, stages: [other, Self.name])
    }
  }
}

extension ConfiguredStage {
  func ownPaths(in workspace: Workspace) -> StagePaths {
    StagePaths(
      stage: name, workspace: workspace, all: type.ownPaths,
      fileNames: type.fileNames.map { FileNamePattern($0) })
  }
}

extension StageContext {
  /// Creates a context for queries, or for a run if there is an observer.
  init(
    _ stage: ConfiguredStage, in workspace: Workspace, _ digests: FileDigests,
    isBuilding: Bool = false, observe: @escaping (RunEvent) -> Void = { _ in }
  ) {
    self.init(
      workspace: workspace, digests: digests,
      progress: StageProgress(stage: stage.name, unit: stage.unit, observe: observe),
      ownPaths: stage.ownPaths(in: workspace), isBuilding: isBuilding, planned: stage.planned)
  }
}

extension Stage {
  /// The names under which its files appear in a workspace.
  static var namesInWorkspace: [String] {
    let names = ownPaths.map { String($0.prefix { $0 != "/" }) } + caches
    return names.flatMap { name in
      ["", ".building"].flatMap { building in
        ["", "-wal", "-shm", "-journal"].map { name + building + $0 }
      }
    }
  }
}
