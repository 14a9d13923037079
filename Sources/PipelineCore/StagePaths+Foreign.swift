import Files

/// Foreign files in a stage's paths, which are moved to `state/kept/` if the stage needs their
/// place.
extension StagePaths {
  /// Moves away a foreign file in the place of one of the stage's: it may be the user's only copy.
  func keepAside(_ relative: String) throws { try keep(final(relative), as: relative) }

  private func keep(_ found: String, as relative: String) throws {
    let path = workspace.path("\(Workspace.keptFolder)/\(relative)")
    var (kept, number) = (path, 1)
    while Folders.isThere(kept) {
      number += 1
      kept = "\(path)-\(number)"
    }
    try Folders.make(Folders.parent(of: kept))
    try Folders.moveFile(found, to: kept)
    onKeeping(found, kept)
  }

  /// Moves away a file that differs from its record.
  ///
  /// - Parameter file: nil: nothing is recorded for this path
  func keepForeign(_ relative: String, _ file: OutputFile?, _ digests: FileDigests) throws {
    let path = final(relative)
    // A folder in a file's place is rejected when the file is written.
    guard Folders.isThere(path), !Folders.isFolder(path) else { return }
    if let file {
      guard Folders.exists(path) else { return }
      let isSame =
        try Folders.byteCount(of: path) == file.byteCount
        && (file.sha256 == nil || digests.digest(ofFile: path) == file.sha256)
      if isSame { return }
    }
    try keepAside(relative)
  }

  /// Moves away foreign files where the stage writes its own.
  ///
  /// - Parameter name: the name of a folder in each of the stage's folders
  func keepForeign(inEach name: String) throws {
    for folder in folders { try keepForeign(at: workspace.path("\(folder)/\(name)"), as: folder) }
  }

  /// Removes a folder of the stage with everything that the stage has written there.
  ///
  /// - Parameters:
  ///   - relative: its final path
  ///   - path: its current path
  func discard(_ relative: String, at path: String) throws {
    try keepForeign(at: path, as: relative)
    try Folders.discard(path)
  }

  private func keepForeign(at path: String, as relative: String) throws {
    guard Folders.isFolder(path), !Folders.isLink(path) else { return }
    for file in try Self.leaves(path) where !owns("\(relative)/\(file)") {
      let found = "\(path)/\(file)"
      guard Folders.isThere(found) else {
        throw PipelineError.damaged(
          path: path, reason: "it contains a file name that is not UTF-8, \(file); move it away")
      }
      try keep(found, as: "\(relative)/\(file)")
    }
  }

  /// Whether the stage's files may have this name.
  func owns(_ relative: String) -> Bool { fileNames.contains { $0.matches(relative) } }
}
