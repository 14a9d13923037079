import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The folders and files of a workspace that belong to one stage, and where new ones are made until
/// they take their place.
///
/// Paths are relative to the workspace. A new `spo/x` is made as `spo/.building/x`, and a new
/// `catalog.sqlite` as `catalog.sqlite.building`: in the same file system, also where the folder or the
/// file is a symbolic link, which is followed and kept. What was begun and set aside has a dash and its
/// fingerprint behind these names.
struct StagePlaces {
  let stage: String
  let workspace: Workspace
  /// With a slash at the end for folders.
  let places: [String]

  private static let folderName = ".building"
  private static let fileEnding = ".building"
  /// What a database keeps beside its file while it is open.
  private static let companionEndings = ["-wal", "-shm", "-journal"]

  private var folders: [String] {
    places.filter { $0.hasSuffix("/") }.map { String($0.dropLast()) }
  }
  private var singleFiles: [String] { places.filter { !$0.hasSuffix("/") } }

  // MARK: - Paths

  /// Where a finished file or folder lies.
  func final(_ relative: String) -> String {
    let path = workspace.path(relative)
    return singleFiles.contains(relative) ? Folders.canonical(path) : path
  }

  /// Where it is made.
  func building(_ relative: String) -> String {
    for folder in folders where relative == folder || relative.hasPrefix("\(folder)/") {
      return workspace.path("\(folder)/\(Self.folderName)\(relative.dropFirst(folder.count))")
    }
    precondition(singleFiles.contains(relative), "\(relative) is no place of stage \(stage)")
    return final(relative) + Self.fileEnding
  }

  // MARK: - What is there

  /// All that is in the places and is no folder, without temporary files and what is being made.
  func finalFiles() throws -> [String] {
    try folders.flatMap { folder in
      // A disk's own folder, which only the system may read.
      try Self.leaves(workspace.path(folder)) {
        $0 == "lost+found" || $0 == Self.folderName || $0.hasPrefix(Self.folderName + "-")
      }.map { "\(folder)/\($0)" }
    }
      + singleFiles.filter { Folders.isThere(workspace.path($0)) }
  }

  /// What has been made, by its final path.
  func builtFiles() throws -> [String] {
    try folders.flatMap { folder in
      try Self.leaves(workspace.path("\(folder)/\(Self.folderName)")).map { "\(folder)/\($0)" }
    }
      + singleFiles.filter { Folders.isThere(building($0)) }
  }

  /// - Parameter result: what is there, as recorded
  /// - Throws: ``WorkspaceError`` if a folder of the stage is a file, or a file a folder
  func requireKinds(_ result: StageResult?) throws(WorkspaceError) {
    for folder in folders {
      let path = workspace.path(folder)
      guard Folders.isThere(path), !Folders.isFolder(path) else { continue }
      throw .wrongKind(path: path, stage: stage, isFolder: true, isLink: Folders.isLink(path))
    }
    for file in singleFiles {
      let path = workspace.path(file)
      guard Folders.isThere(path), !Folders.isRegular(path) else { continue }
      throw .wrongKind(path: path, stage: stage, isFolder: false, isLink: Folders.isLink(path))
    }
    for file in result?.files.keys.sorted() ?? [] where Folders.isFolder(final(file)) {
      throw .wrongKind(path: final(file), stage: stage, isFolder: false, isLink: false)
    }
  }

  /// Refuses a link in a file's place that leads to a file which this stage has not made: what is behind
  /// a link is replaced with it.
  ///
  /// - Throws: ``WorkspaceError``
  fileprivate func requireOwnTargets(_ step: Planner.Step, _ digests: FileDigests) throws {
    let links = singleFiles.filter {
      Folders.isLink(workspace.path($0)) && Folders.exists(final($0))
    }
    guard !links.isEmpty, let record = step.record else { return }
    guard let result = record.result else {
      // Nothing has been put in its place so far.
      guard record.phase == .building, let link = links.first else { return }
      throw WorkspaceError.foreign(path: workspace.path(link), stage: stage)
    }
    guard result.isKnown else { return }
    let check = OutputCheck(places: self, digests: digests)
    let lost = try check(result, of: step.stage).lost.map(\.relative)
    for link in links where lost.contains(link) || result.files[link] == nil {
      throw WorkspaceError.foreign(path: workspace.path(link), stage: stage)
    }
  }

  /// Refuses what lies where the stage would write and is not recorded: anything, if it has never run.
  ///
  /// - Throws: ``WorkspaceError``
  fileprivate func requireNothingForeign(_ step: Planner.Step) throws {
    // What is being made is the stage's own while its record says so.
    let ownsBuilding = [.building, .replacing].contains(step.record?.phase)
    let built = ownsBuilding ? [] : try builtFiles()
    if let found = try foreignFiles(step).first.map(workspace.path) ?? built.first.map(building) {
      throw WorkspaceError.foreign(path: found, stage: stage)
    }
  }

  /// What is not the stage's, though it may write a file of this name.
  private func foreignFiles(_ step: Planner.Step) throws -> [String] {
    let files = try finalFiles()
    guard let record = step.record else { return files }
    // What is already in its place is not listed where it is repaired, or where an earlier version made it.
    guard record.phase == .building || record.phase == .done, record.result?.isUnlisted != true
    else { return [] }
    return files.filter { file in
      record.result?.files[file] == nil
        && step.stage.fileNames.contains { FileNamePattern($0).matches(file) }
    }
  }

  /// The paths below a folder that are no folders; links are not followed.
  private static func leaves(
    _ folder: String, excluding isExcluded: (String) -> Bool = { _ in false }
  ) throws -> [String] {
    try Folders.names(in: folder).filter {
      !isExcluded($0) && !TemporaryName.matches($0)
    }.flatMap { name -> [String] in
      let path = "\(folder)/\(name)"
      guard Folders.isFolder(path), !Folders.isLink(path) else { return [name] }
      return try leaves(path).map { "\(name)/\($0)" }
    }
  }

  // MARK: - Changes

  /// Removes what was being made.
  func discardBuilding() throws {
    for folder in folders {
      try Folders.discard(workspace.path("\(folder)/\(Self.folderName)"))
    }
    for file in singleFiles {
      for ending in Self.companionEndings + [""] { try Folders.remove(building(file) + ending) }
    }
  }

  /// Where what is being made lies, and where it lies when it is set aside.
  private func asides(_ fingerprint: String) -> [(building: String, aside: String)] {
    let ending = "-" + fingerprint.prefix(16)
    return folders.map {
      let path = workspace.path("\($0)/\(Self.folderName)")
      return (path, path + ending)
    }
      + singleFiles.flatMap { file in
        ([""] + Self.companionEndings).map {
          (building(file) + $0, building(file) + ending + $0)
        }
      }
  }

  /// Sets aside what was being made.
  func moveBuilding(aside fingerprint: String) throws {
    try Self.move(asides(fingerprint).map { ($0.building, $0.aside) })
  }

  /// Goes on with what was set aside, or with what is still to come back of it.
  func moveBuilding(back fingerprint: String) throws {
    try Self.move(asides(fingerprint).map { ($0.aside, $0.building) })
  }

  private static func move(_ pairs: [(source: String, target: String)]) throws {
    for (source, target) in pairs where Folders.isThere(source) {
      try Folders.discard(target)
      guard rename(source, target) == 0 else {
        throw PipelineError.lastSystemFailure("rename to \(target)", source)
      }
    }
  }

  func byteCount(aside fingerprint: String) throws -> Int {
    asides(fingerprint).reduce(0) {
      $0 + (Folders.isThere($1.aside) ? Folders.byteCount(of: $1.aside) : 0)
    }
  }

  func discard(aside fingerprint: String) throws {
    for (_, path) in asides(fingerprint) { try Folders.discard(path) }
  }

  /// Makes the stage's folders, so that it finds them.
  func makeFolders(isBuilding: Bool) throws {
    for folder in folders { try Folders.make(isBuilding ? building(folder) : final(folder)) }
  }

  /// Removes the temporary files that a killed process left beside files of the stage.
  ///
  /// - Parameters:
  ///   - files: files and folders that the stage has written or may have begun
  ///   - scratch: folders in which nothing else is
  func removeLeftovers(of files: some Sequence<String>, in scratch: [String]) throws {
    var own: Set<String> = []
    for file in files {
      var path = file
      while own.insert(path).inserted, path.contains("/") { path = Folders.parent(of: path) }
    }
    for folder in folders {
      let wholes = scratch + ["\(folder)/\(Self.folderName)"]
      try Folders.removeLeftovers(in: workspace.path(folder)) { target in
        let path = "\(folder)/\(target)"
        return own.contains(path) || OutputCheck.covers(wholes, path)
      }
      try CheckpointFolders(in: workspace.path("\(folder)/checkpoints")).removeLeftovers()
    }
    for file in singleFiles {
      let path = final(file)
      let (parent, name) = (Folders.parent(of: path), path.split(separator: "/").last ?? "")
      for found in try Folders.names(in: parent) {
        guard let target = TemporaryName.target(of: found, earlier: true),
          target == name || target == name + Self.fileEnding
        else { continue }
        try Folders.remove("\(parent)/\(found)")
      }
    }
  }

  /// Moves what was made to its final paths and removes what `old` lists besides; does what is left of
  /// it where it was begun before.
  func replace(_ old: StageResult?, with new: StageResult) throws {
    var changed: Set<String> = []
    for path in new.files.keys.sorted() {
      let (source, target) = (building(path), final(path))
      guard Folders.exists(source) else { continue }
      if singleFiles.contains(path) {
        // A log that belongs to the old database would be applied to the new one.
        for ending in Self.companionEndings { try Folders.remove(target + ending) }
      }
      let parent = Folders.parent(of: target)
      try Folders.make(parent)
      guard rename(source, target) == 0 else {
        throw PipelineError.lastSystemFailure("rename to \(target)", source)
      }
      changed.insert(parent)
    }
    for path in (old?.files.keys.sorted() ?? []) where new.files[path] == nil {
      try remove(path)
      changed.insert(Folders.parent(of: final(path)))
    }
    if old?.isUnlisted == true { try removeUnlistedCheckpoints(keeping: new) }
    for folder in changed.sorted() where Folders.exists(folder) { try Folders.sync(folder) }
    try discardBuilding()
  }

  /// Moves away what is in a file's place and was not made by the stage: it may be all that a user has of it.
  ///
  /// - Returns: its new path
  func keepAside(_ relative: String) throws -> String {
    let path = workspace.path("\(Workspace.keptFolder)/\(relative)")
    var (kept, number) = (path, 1)
    while Folders.isThere(kept) {
      number += 1
      kept = "\(path)-\(number)"
    }
    try Folders.make(Folders.parent(of: kept))
    try Folders.moveFile(final(relative), to: kept)
    return kept
  }

  /// Removes a file of the stage, and folders that are empty without it.
  func remove(_ relative: String) throws {
    try Folders.removeFile(final(relative))
    // The stage's own folder stays: it may be a link, or another disk.
    var folder = Folders.parent(of: relative)
    while folder.contains("/"), rmdir(workspace.path(folder)) == 0 {
      folder = Folders.parent(of: folder)
    }
  }

  /// The checkpoints that an earlier version left: resuming must not find them.
  private func removeUnlistedCheckpoints(keeping new: StageResult) throws {
    for folder in folders {
      let checkpoints = CheckpointFolders(in: workspace.path("\(folder)/checkpoints"))
      for step in try checkpoints.steps() {
        let path = checkpoints.path(step: step)
        let relative = "\(folder)/checkpoints/\(path.dropFirst(checkpoints.folder.count + 1))/"
        if !new.files.keys.contains(where: { $0.hasPrefix(relative) }) {
          try checkpoints.remove(step: step)
        }
      }
    }
  }
}

extension Planner.Step {
  /// Refuses what is in the way of a stage that has something to do.
  ///
  /// - Throws: ``WorkspaceError``
  func requirePlaces(in workspace: Workspace, _ digests: FileDigests) throws {
    let places = configured.places(in: workspace)
    try places.requireKinds(record?.result)
    try places.requireOwnTargets(self, digests)
    try places.requireNothingForeign(self)
  }
}
