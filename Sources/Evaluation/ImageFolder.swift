import Files
import PipelineCore

/// The right to write images of a list's prompts into a folder: one process's, or that of parts.
///
/// Parts write different files, each complete or not at all, and remove none, so any number of them may be at work.
struct ImageFolder {
  private let lock: WorkspaceLock?

  /// - Parameters:
  ///   - partition: one of parts; nil: the whole
  ///   - writes: whether a path in the folder is one that such a call writes
  init(_ path: String, _ partition: Partition?, writes: (String) -> Bool) throws {
    try Folders.make("\(path)/state")
    guard partition == nil else {
      lock = nil
      return
    }
    lock = try WorkspaceLock(Workspace(path: path))
    // What a part is writing now is no leftover: an image takes seconds to write.
    try Folders.removeLeftovers(in: path, unchangedFor: 3_600, of: writes)
  }

  /// Refuses a folder that holds what no such call wrote.
  ///
  /// - Parameter record: the file in `state` that calls of this kind write; of others there are other ones
  static func requireOwn(_ path: String, record: String) throws {
    guard [nil, .folder].contains(PathKind(of: path)) else {
      throw EvaluationError.notFolder(path: path)
    }
    let names = try Folders.names(in: path)
    guard names.isEmpty || names.contains("state") else {
      throw EvaluationError.foreignFolder(path: path, holds: names[0])
    }
    // A workspace's has its stages' records.
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
  /// The prompts that are a part's, by their place in the list; nil: all.
  func indices(of partition: Partition?) -> [Int] {
    entries.indices.filter { partition?.contains(position: $0) ?? true }
  }
}
