import Files
import PipelineCore

/// Exclusive write access to a folder of images for a list's prompts: for one process, or for
/// parts.
///
/// Parts write different files, each atomically, and remove none, so any number of them may run.
struct ImageFolder {
  private let lock: WorkspaceLock?

  /// - Parameters:
  ///   - partition: one of the parts; nil: the whole
  ///   - writes: whether such a call writes this path in the folder
  init(_ path: String, _ partition: Partition?, writes: (String) -> Bool) throws {
    try Folders.make("\(path)/state")
    guard partition == nil else {
      lock = nil
      return
    }
    lock = try WorkspaceLock(Workspace(path: path))
    // A file that a part is writing is no leftover: an image takes seconds to write.
    try Folders.removeLeftovers(in: path, unchangedFor: 3_600, of: writes)
  }

  /// Rejects a folder with contents that no such call wrote.
  ///
  /// - Parameter record: the file in `state` that calls of this kind write; other kinds have others
  static func requireOwn(_ path: String, record: String) throws {
    guard [nil, .folder].contains(PathKind(of: path)) else {
      throw EvaluationError.notFolder(path: path)
    }
    let names = try Folders.names(in: path)
    guard names.isEmpty || names.contains("state") else {
      throw EvaluationError.foreignFolder(path: path, holds: names[0])
    }
    // A workspace has its stages' records there.
    let stranger = try Folders.names(in: "\(path)/state").first {
      (TemporaryName.target(of: $0, earlier: true) ?? $0) != record
    }
    if let stranger {
      throw EvaluationError.foreignFolder(path: path, holds: "state/\(stranger)")
    }
  }

  func whileHeld<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withExtendedLifetime(lock, body)
  }
}

extension PromptList {
  /// Returns the indices of a part's prompts in the list; nil: all.
  func indices(of partition: Partition?) -> [Int] {
    entries.indices.filter { partition?.contains(position: $0) ?? true }
  }
}
