/// Something in a workspace that can be removed without loss.
public struct Garbage {
  public let what: String
  public let byteCount: Int
  private let remove: () throws -> Void

  public init(_ what: String, byteCount: Int, remove: @escaping () throws -> Void) {
    self.what = what
    self.byteCount = byteCount
    self.remove = remove
  }

  fileprivate func callAsFunction() throws { try remove() }
}

extension Pipeline {
  /// Removes what no result of the workspace needs: files that finished stages keep only to restore
  /// lost ones, and entries of shared caches that they no longer use.
  ///
  /// Never removes anything that is not recorded.
  ///
  /// - Parameter isDry: only report
  /// - Returns: what was found
  public func collectGarbage(isDry: Bool) throws -> [Garbage] {
    let workspace = try existingWorkspace()
    let lock = try WorkspaceLock(workspace)
    defer { withExtendedLifetime(lock) {} }
    let digests = FileDigests(savedAt: workspace.digestsPath)
    var found = try stages.flatMap {
      try Attempts(at: $0, in: workspace).garbage($0.unit)
    }
    let steps = try Planner.steps(
      of: self, isPart: lock.isReadOnly, trustsLostInputs: true, digests)
    for step in steps where step.work == .nothing {
      found += try spare(step, workspace, digests) + step.stage.garbage()
      found += try step.configured.partsGarbage(in: workspace)
    }
    found += try workspace.kernelsGarbage()
    if !isDry { for garbage in found { try garbage() } }
    return found
  }

  /// Returns the files of a finished result that serve only to rebuild others.
  private func spare(
    _ step: Planner.Step, _ workspace: Workspace, _ digests: FileDigests
  ) throws -> [Garbage] {
    guard let record = step.record, record.phase == .done, let result = record.result else {
      return []
    }
    let ownPaths = step.configured.ownPaths(in: workspace)
    return step.configured.type.spare.compactMap { spare in
      let files = result.files.filter {
        OutputCheck.covers([spare], $0.key) && !$0.value.isRead
      }
      guard !files.isEmpty else { return nil }
      return Garbage(
        workspace.path(spare),
        byteCount: files.keys.reduce(0) { $0 + Folders.byteCount(of: ownPaths.final($1)) }
      ) {
        for (path, file) in files.sorted(by: { $0.key < $1.key }) {
          try ownPaths.keepForeign(path, file, digests)
          try ownPaths.remove(path)
        }
        guard var record = try StageRecord.load(from: workspace.recordPath(step.configured.name))
        else { return }
        for path in files.keys { record.result?.files[path] = nil }
        try record.save(to: workspace.recordPath(step.configured.name))
      }
    }
  }
}
