import Files

extension Pipeline {
  /// The settings of each stage.
  var plannedSettings: [String: JSON] {
    Dictionary(uniqueKeysWithValues: stages.map { ($0.name, $0.settings) })
  }

  /// The stages, made to be asked and not to be run.
  public func madeStages() throws -> [any Stage] {
    let workspace = Workspace(path: workspacePath)
    let digests = FileDigests(savedAt: workspace.digestsPath)
    return try stages.map { configured in
      try configured.make(
        StageContext(
          workspace: workspace, digests: digests,
          progress: StageProgress(stage: configured.name, unit: configured.unit) { _ in }))
    }
  }
}
