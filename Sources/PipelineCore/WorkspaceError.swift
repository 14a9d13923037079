public import Files

/// Why a workspace, or a stage's place in it, is not used: what is there is not this program's.
public enum WorkspaceError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFolder(path: String)
  /// There is nothing; `run` makes it.
  case absent(path: String, run: String)
  /// Nothing has run there, so that there is nothing to look at.
  case noWorkspace(path: String)
  /// A folder that holds something else.
  case notOurs(path: String, example: String)
  /// Something lies where a stage would write.
  case foreign(_ paths: [String], stage: String)
  /// Something lies where a file of a finished result belongs.
  case occupied(path: String, stage: String)
  /// A file where a folder belongs, or the other way round.
  case wrongKind(path: String, stage: String, isFolder: Bool, isLink: Bool)

  public var kind: FailureKind {
    switch self {
    case .absent, .noWorkspace: .input
    default: .settings
    }
  }

  public var description: String {
    switch self {
    case .notFolder(let path):
      "\(path): the workspace must be a folder, but this is a file or a link that leads to none; choose another workspace"
    case .absent(let path, let run):
      "\(path): there is no such workspace; `\(run)` makes it, --workspace DIR names another"
    case .noWorkspace(let path):
      "\(path): not a workspace: no run has begun here; name the folder in which spo run works, not the "
        + "pipeline file"
    case .notOurs(let path, let example):
      "\(path): not a workspace of this program, and not empty (it holds \(example)); choose "
        + "an empty folder or one that does not exist"
    case .foreign(let paths, let stage):
      "\(paths.prefix(3).joined(separator: ", "))"
        + (paths.count > 3 ? " and \(paths.count - 3) more" : "")
        + ": stage \(stage) would write here, but "
        + (paths.count == 1 ? "this is" : "these are")
        + " not this program's; move \(paths.count == 1 ? "it" : "them") away or choose another "
        + "workspace"
    case .occupied(let path, let stage):
      "\(path): stage \(stage) has made a new file for this place, but what is there is not this "
        + "program's; move it away and run again"
    case .wrongKind(let path, let stage, let isFolder, let isLink):
      "\(path): stage \(stage) needs a \(isFolder ? "folder" : "file") here, but this is "
        + (isLink
          ? "a symbolic link to something else or to nothing" : isFolder ? "a file" : "no file")
        + "; move it away or choose another workspace"
    }
  }
}
