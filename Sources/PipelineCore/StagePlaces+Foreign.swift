import Files

/// What is in a stage's places and is not its own: moved to `state/kept/` where the stage needs the place.
extension StagePlaces {
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
    for folder in folders {
      let building = workspace.path("\(folder)/\(name)")
      guard Folders.isFolder(building), !Folders.isLink(building) else { continue }
      for file in try Self.leaves(building) where !owns("\(folder)/\(file)") {
        let path = "\(building)/\(file)"
        guard Folders.isThere(path) else {
          throw PipelineError.damaged(
            path: building, reason: "it holds a name that is not UTF-8, \(file); move it away")
        }
        try keep(path, as: "\(folder)/\(file)")
      }
    }
  }

  /// Whether the stage gives its files such names.
  func owns(_ relative: String) -> Bool { fileNames.contains { $0.matches(relative) } }
}
