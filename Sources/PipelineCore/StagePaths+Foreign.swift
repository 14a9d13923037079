import Files

/// What is in a stage's paths and is not its own: moved to `state/kept/` where the stage needs the place.
extension StagePaths {
  /// Moves away what is in a file's place and was not made by the stage: it may be all that a user has of it.
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

  /// Moves away a file that is not as it was recorded.
  ///
  /// - Parameter file: nil: nothing is recorded of this path
  func keepForeign(_ relative: String, _ file: OutputFile?, _ digests: FileDigests) throws {
    let path = final(relative)
    // A folder in a file's place is refused by whoever wants to write there.
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

  /// Moves away what others have put where the stage makes its files.
  ///
  /// - Parameter name: of a folder in each of the stage's folders
  func keepForeign(inEach name: String) throws {
    for folder in folders { try keepForeign(at: workspace.path("\(folder)/\(name)"), as: folder) }
  }

  /// Removes a folder of the stage with all that the stage has written there.
  ///
  /// - Parameters:
  ///   - relative: where it lies when it is finished
  ///   - path: where it lies
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

  /// Whether the stage gives its files such names.
  func owns(_ relative: String) -> Bool { fileNames.contains { $0.matches(relative) } }
}
