import Files

/// Databases that are built on a local disk and moved whole, because SQLite needs more from a file
/// system than those of clusters guarantee.
///
/// Until they are moved, those in the workspace are unchanged; a killed merge starts over.
final class ScratchDatabases {
  private let folder: String
  /// The paths in the workspace and of the local copies.
  private var copies: [(original: String, copy: String)] = []

  /// - Parameters:
  ///   - parent: a folder on a local disk
  ///   - paths: the databases' paths; they need not exist yet
  init(in parent: String, for paths: [String]) throws {
    folder = Self.folder(in: parent, for: paths)
    try Folders.remove(folder)
    try Folders.make(folder)
    for (number, path) in paths.enumerated() {
      let copy = "\(folder)/\(number).sqlite"
      guard !Folders.exists(path + "-wal") || Folders.byteCount(of: path + "-wal") == 0 else {
        throw PipelineError.damaged(
          path: path + "-wal",
          reason: "the database's log was not written back; run once without --scratch")
      }
      if Folders.exists(path) { try Folders.copyFile(path, to: copy) }
      copies.append((path, copy))
    }
  }

  private static func folder(in parent: String, for paths: [String]) -> String {
    let name = SHA256.hexDigest(of: Array(paths.map(Folders.canonical).joined().utf8)).prefix(16)
    return "\(parent)/spo-\(name)"
  }

  /// Removes what a killed merge left behind.
  static func removeLeftovers(in parent: String, for paths: [String]) throws {
    try Folders.remove(folder(in: parent, for: paths))
  }

  deinit { try? Folders.remove(folder) }

  subscript(path: String) -> String? { copies.first { $0.original == path }?.copy }

  /// Moves the closed databases into place.
  func moveIntoPlace() throws {
    for (original, copy) in copies where Folders.exists(copy) {
      guard !Folders.exists(copy + "-wal") else {
        throw PipelineError.damaged(path: copy, reason: "it is still open")
      }
      try Folders.copyFile(copy, to: original)
      for ending in ["-wal", "-shm"] { try Folders.remove(original + ending) }
    }
  }
}
