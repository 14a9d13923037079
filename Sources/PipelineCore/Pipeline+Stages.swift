import Files

extension Pipeline {
  /// The stages, made to be asked and not to be run.
  public func madeStages() throws -> [any Stage] {
    let workspace = Workspace(path: workspacePath)
    let digests = FileDigests(savedAt: workspace.digestsPath)
    return try stages.map { try $0.make(StageContext($0, in: workspace, digests)) }
  }

  /// Refuses stages that read what none before them makes, or that make the same.
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
  /// The workspace, whether it is there or not.
  ///
  /// - Throws: ``WorkspaceError`` if something else is there, so that no stage could run
  @discardableResult
  public func usableWorkspace() throws -> Workspace {
    let workspace = Workspace(path: workspacePath)
    try workspace.requireUsable(knowing: knownNames)
    return workspace
  }

  /// The workspace, in which something was run.
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
  /// Refuses to follow stages that do not make what it reads, or that make what it writes.
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
  /// For a stage that is asked, or runs if someone observes it.
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
  /// What it writes to, as it is listed in a workspace.
  static var namesInWorkspace: [String] {
    let names = ownPaths.map { String($0.prefix { $0 != "/" }) } + caches
    return names.flatMap { name in
      ["", ".building"].flatMap { building in
        ["", "-wal", "-shm", "-journal"].map { name + building + $0 }
      }
    }
  }
}
