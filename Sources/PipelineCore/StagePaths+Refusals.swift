import Files

extension Planner.Step {
  /// Rejects obstacles in the paths of a stage that has something to do.
  ///
  /// - Throws: ``WorkspaceError``
  func requireOwnPaths(in workspace: Workspace, _ digests: FileDigests) throws {
    let ownPaths = configured.ownPaths(in: workspace)
    try ownPaths.requireKinds(record?.result)
    try ownPaths.requireOwnTargets(self, digests)
    try ownPaths.requireNothingForeign(record)
  }
}

extension StagePaths {
  /// - Parameter result: the present result, as recorded
  /// - Throws: ``WorkspaceError`` if a folder of the stage is a file, or a file a folder
  fileprivate func requireKinds(_ result: StageResult?) throws(WorkspaceError) {
    let files = result?.files.keys.sorted() ?? []
    for folder in try innerFolders(files) {
      let path = workspace.path(folder)
      guard Folders.isThere(path), !Folders.isFolder(path) else { continue }
      throw .wrongKind(path: path, stage: stage, isFolder: true, isLink: Folders.isLink(path))
    }
    for file in singleFiles {
      let path = workspace.path(file)
      guard Folders.isThere(path), !Folders.isRegular(path) else { continue }
      throw .wrongKind(path: path, stage: stage, isFolder: false, isLink: Folders.isLink(path))
    }
    for file in files {
      let path = final(file)
      let isDangling = Folders.isLink(path) && !Folders.exists(path)
      guard Folders.isFolder(path) || isDangling else { continue }
      throw .wrongKind(path: path, stage: stage, isFolder: false, isLink: isDangling)
    }
  }

  /// Returns the known folders of the stage, including inner ones.
  private func innerFolders(_ files: [String]) throws(WorkspaceError) -> [String] {
    var found = Set(folders.flatMap { [$0, "\($0)/\(Self.folderName)"] })
    for path in files + fileNames.compactMap(\.folder).map({ "\($0)/" }) {
      var folder = Folders.parent(of: path)
      while folder.contains("/"), found.insert(folder).inserted {
        folder = Folders.parent(of: folder)
      }
    }
    return found.sorted()
  }

  /// Rejects a link in a file's place whose target was not written by this stage: replacing the
  /// file would replace the target.
  ///
  /// - Throws: ``WorkspaceError``
  fileprivate func requireOwnTargets(_ step: Planner.Step, _ digests: FileDigests) throws {
    let links = singleFiles.filter {
      Folders.isLink(workspace.path($0)) && Folders.exists(final($0))
    }
    guard !links.isEmpty, let record = step.record else { return }
    guard let result = record.result else {
      // Nothing has been put in place so far.
      guard record.phase == .building, let link = links.first else { return }
      throw WorkspaceError.foreign([workspace.path(link)], stage: stage)
    }
    guard result.isKnown else { return }
    let check = OutputCheck(ownPaths: self, digests: digests)
    let lost = try check(result, of: step.stage).lost.map(\.relative)
    for link in links where lost.contains(link) || result.files[link] == nil {
      throw WorkspaceError.foreign([workspace.path(link)], stage: stage)
    }
  }

  /// Rejects unrecorded files where the stage would write: any at all, if it has never run.
  ///
  /// - Throws: ``WorkspaceError``
  fileprivate func requireNothingForeign(_ record: StageRecord?) throws {
    var found = try foreignFiles(record).map(workspace.path)
    // What is being built is the stage's own while its record says so.
    if ![.building, .replacing].contains(record?.phase) {
      found += try builtFiles().filter { record == nil || !Self.isHidden($0) }.map(building)
      found += singleFiles.flatMap { file in
        Self.companionEndings.map { building(file) + $0 }.filter(Folders.isThere)
      }
    }
    guard found.isEmpty else { throw WorkspaceError.foreign(found, stage: stage) }
  }

  /// Returns foreign files with names that the stage may write.
  private func foreignFiles(_ record: StageRecord?) throws -> [String] {
    let files = try finalFiles()
    guard let record else { return files }
    // Files already in place are not listed during a repair, or if an earlier version wrote them.
    guard record.phase == .building || record.phase == .done, record.result?.isUnlisted != true
    else { return [] }
    return files.filter { record.result?.files[$0] == nil && owns($0) }
  }

  /// Hidden files such as `.DS_Store`, which operating systems leave everywhere.
  private static func isHidden(_ path: String) -> Bool {
    path.split(separator: "/").last?.hasPrefix(".") == true
  }
}
