import Files
import Glibc

/// The folders and files of a workspace that belong to one stage, and where new ones are built
/// before they replace the old.
///
/// Paths are relative to the workspace. A new `spo/x` is built as `spo/.building/x`, and a new
/// `catalog.sqlite` as `catalog.sqlite.building`: in the same file system, even if the folder or
/// the file is a symbolic link, which is followed and kept. Unfinished results that were set aside
/// have a dash and their fingerprint appended to these names.
struct StagePaths {
  let stage: String
  let workspace: Workspace
  /// All paths, folders with a trailing slash.
  let all: [String]
  /// The names of the stage's files: any other file in these folders is foreign.
  let fileNames: [FileNamePattern]
  /// Called with the path of a foreign file and where it was moved.
  var onKeeping: (_ path: String, _ kept: String) -> Void = { _, _ in }

  static let folderName = ".building"
  private static let fileEnding = ".building"
  /// The suffixes of files that SQLite keeps next to an open database.
  static let companionEndings = ["-wal", "-shm", "-journal"]

  var folders: [String] { all.filter { $0.hasSuffix("/") }.map { String($0.dropLast()) } }
  var singleFiles: [String] { all.filter { !$0.hasSuffix("/") } }

  // MARK: - Paths

  /// Returns the path of a finished file or folder.
  func final(_ relative: String) -> String {
    let path = workspace.path(relative)
    return singleFiles.contains(relative) ? Folders.canonical(path) : path
  }

  /// Returns the path where it is built.
  func building(_ relative: String) -> String {
    for folder in folders where relative == folder || relative.hasPrefix("\(folder)/") {
      return workspace.path("\(folder)/\(Self.folderName)\(relative.dropFirst(folder.count))")
    }
    precondition(singleFiles.contains(relative), "\(relative) is not a path of stage \(stage)")
    return final(relative) + Self.fileEnding
  }

  // MARK: - Listing

  /// Returns all finished files in the paths, without temporary files and what is being built.
  func finalFiles() throws -> [String] {
    try folders.flatMap { folder in
      // A disk's own folder, such as lost+found, which only the system may read.
      try Self.leaves(workspace.path(folder)) {
        $0 == "lost+found" || $0 == Self.folderName || $0.hasPrefix(Self.folderName + "-")
      }.map { "\(folder)/\($0)" }
    }
      + singleFiles.filter { Folders.isThere(workspace.path($0)) }
  }

  /// Returns the files built so far, by their final paths.
  func builtFiles() throws -> [String] {
    try folders.flatMap { folder in
      try Self.leaves(workspace.path("\(folder)/\(Self.folderName)")).map { "\(folder)/\($0)" }
    }
      + singleFiles.filter { Folders.isThere(building($0)) }
  }

  /// Returns the paths of non-folders below a folder; links are not followed.
  static func leaves(
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

  /// Removes what was being built.
  func discardBuilding() throws {
    try keepForeign(inEach: Self.folderName)
    for folder in folders {
      try Folders.discard(workspace.path("\(folder)/\(Self.folderName)"))
    }
    for file in singleFiles {
      for ending in Self.companionEndings + [""] { try Folders.remove(building(file) + ending) }
    }
  }

  private static func ending(_ fingerprint: String) -> String { "-" + fingerprint.prefix(16) }

  /// Returns the paths of what is being built, and of the same when set aside.
  private func asides(_ fingerprint: String) -> [(building: String, aside: String)] {
    let ending = Self.ending(fingerprint)
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

  /// Sets aside what was being built.
  func moveBuilding(aside fingerprint: String) throws {
    try keepForeign(inEach: Self.folderName)
    try Self.move(asides(fingerprint).map { ($0.building, $0.aside) })
  }

  /// Moves back what was set aside, or the rest of it.
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
    try asides(fingerprint).reduce(0) { try $0 + Folders.totalByteCount(of: $1.aside) }
  }

  /// Returns the places of files in folders that were set aside, by their paths in the workspace.
  func files(aside fingerprint: String) throws -> [String: String] {
    let name = Self.folderName + Self.ending(fingerprint)
    return try folders.reduce(into: [:]) { files, folder in
      let aside = workspace.path("\(folder)/\(name)")
      guard Folders.isFolder(aside) else { return }
      for leaf in try Self.leaves(aside) { files["\(folder)/\(leaf)"] = "\(aside)/\(leaf)" }
    }
  }

  func discard(aside fingerprint: String) throws {
    try keepForeign(inEach: Self.folderName + Self.ending(fingerprint))
    for (_, path) in asides(fingerprint) { try Folders.discard(path) }
  }

  /// Creates the stage's folders before it runs.
  func makeFolders(isBuilding: Bool) throws {
    for folder in folders { try Folders.make(isBuilding ? building(folder) : final(folder)) }
  }

  /// Removes the temporary files that a killed process left next to files of the stage.
  ///
  /// - Parameters:
  ///   - files: files and folders that the stage has written or may have begun
  ///   - scratch: folders that contain nothing else
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
      let checkpoints = workspace.path("\(folder)/checkpoints")
      guard Folders.isFolder(checkpoints) else { continue }
      try CheckpointFolders(in: checkpoints).removeLeftovers()
    }
    for file in singleFiles {
      for ending in ["", Self.fileEnding] { try Folders.removeLeftovers(of: final(file) + ending) }
    }
  }

  /// Moves new files to their final paths and removes other files listed in `old`; resumes if
  /// interrupted.
  ///
  /// Files in these paths that do not match `old` are foreign and kept.
  func replace(_ old: StageResult?, with new: StageResult, _ digests: FileDigests) throws {
    var changed: Set<String> = []
    for path in new.files.keys.sorted() {
      let (source, target) = (building(path), final(path))
      guard Folders.exists(source) else { continue }
      if old?.isUnlisted != true { try keepForeign(path, old?.files[path], digests) }
      if singleFiles.contains(path) {
        // The old database's log would be applied to the new one.
        for ending in Self.companionEndings { try Folders.remove(target + ending) }
      }
      let parent = Folders.parent(of: target)
      try Folders.make(parent)
      // A folder inside the stage's may be a link to another disk.
      try Folders.moveFile(source, to: target)
      changed.insert(parent)
    }
    for path in (old?.files.keys.sorted() ?? []) where new.files[path] == nil {
      try keepForeign(path, old?.files[path], digests)
      try remove(path)
      changed.insert(Folders.parent(of: final(path)))
    }
    if old?.isUnlisted == true { try removeUnlistedCheckpoints(keeping: new) }
    for folder in changed.sorted() where Folders.exists(folder) { try Folders.sync(folder) }
    try discardBuilding()
  }

  /// Removes a file of the stage, and folders that become empty.
  func remove(_ relative: String) throws {
    try Folders.removeFile(final(relative))
    // The stage's own folder stays: it may be a link, or a mount point.
    var folder = Folders.parent(of: relative)
    while folder.contains("/"), rmdir(workspace.path(folder)) == 0 {
      folder = Folders.parent(of: folder)
    }
  }

  /// Removes checkpoints that an earlier version left: resuming must not find them.
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
