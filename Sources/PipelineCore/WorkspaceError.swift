public import Files

/// Why a workspace, or a stage's path in it, is not used: its contents are foreign.
public enum WorkspaceError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFolder(path: String)
  /// It does not exist; `run` makes it.
  case absent(path: String, run: String)
  /// Nothing has run there, so there is nothing to show.
  case noWorkspace(path: String)
  /// A folder that holds something else.
  case notOurs(path: String, example: String)
  /// Foreign files where a stage would write.
  case foreign(_ paths: [String], stage: String)
  /// A foreign file where a file of a finished result belongs.
  case occupied(path: String, stage: String)
  /// A file instead of a folder, or the reverse.
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
      "\(path): the workspace must be a folder, but this is a file or a broken link; choose another workspace"
    case .absent(let path, let run):
      "\(path): no such workspace; `\(run)` creates it, --workspace DIR selects another"
    case .noWorkspace(let path):
      "\(path): not a workspace: no run has started here; give the folder in which spo run works, not the "
        + "pipeline file"
    case .notOurs(let path, let example):
      "\(path): not a workspace of this program, and not empty (it contains \(example)); choose "
        + "an empty folder or one that does not exist"
    case .foreign(let paths, let stage):
      "\(paths.prefix(3).joined(separator: ", "))"
        + (paths.count > 3 ? " and \(paths.count - 3) more" : "")
        + ": stage \(stage) would write here, but "
        + (paths.count == 1 ? "this does" : "these do")
        + " not belong to this program; move \(paths.count == 1 ? "it" : "them") away or choose another "
        + "workspace"
    case .occupied(let path, let stage):
      "\(path): stage \(stage) has a new file for this path, but the existing one does not belong to this "
        + "program; move it away and run again"
    case .wrongKind(let path, let stage, let isFolder, let isLink):
      "\(path): stage \(stage) needs a \(isFolder ? "folder" : "file") here, but this is "
        + (isLink
          ? "a symbolic link to something else or a broken one"
          : isFolder ? "a file" : "not a file")
        + "; move it away or choose another workspace"
    }
  }
}
