public import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The folder where everything that a pipeline makes goes.
///
///     catalog.sqlite  shards/  …   the stages' own; `.building` is what takes their place when complete
///     state/STAGE.json             settings, inputs, progress and time of each stage
///     parts/STAGE/                 what parts of a stage have made, until it is merged
///     state/digests.json           digests of input files, by size and time of change
///     lock                         held by the running process
///     lock.owner                   the same, where other machines see the workspace
public struct Workspace: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// The path of something inside.
  public func path(_ relative: String) -> String { "\(path)/\(relative)" }

  /// Makes a folder inside, and those above it; returns its path.
  @discardableResult
  public func makeFolder(_ relative: String) throws(PipelineError) -> String {
    let folder = self.path(relative)
    try Folders.make(folder)
    return folder
  }

  /// Whether this program has written here.
  var isOurs: Bool {
    Folders.isFolder(path("state"))
      && (Folders.isThere(path("lock")) || Folders.isThere(digestsPath))
  }

  /// Refuses a folder that holds something of which this program knows nothing.
  ///
  /// - Parameter names: what stages write to
  func requireUsable(knowing names: Set<String>) throws {
    guard Folders.isThere(path) else { return }
    guard Folders.isFolder(path) else { throw WorkspaceError.notFolder(path: path) }
    guard !isOurs else { return }
    let known = names.union(["state", "lock", SharedLock.fileName, "parts", "lost+found"])
    guard let stranger = try Folders.names(in: path).first(where: { !known.contains($0) }) else {
      return
    }
    throw WorkspaceError.notOurs(path: path, example: stranger)
  }

  func partsPath(_ stage: String) -> String { path("parts/\(stage)") }
  func recordPath(_ stage: String) -> String { path("state/\(stage).json") }
  var digestsPath: String { path("state/digests.json") }
}

/// The right to write to a workspace: one process at a time.
///
/// The kernel frees it when its holder ends, however it ends.
public final class WorkspaceLock {
  private let descriptor: Int32
  /// Nil where only this machine sees the workspace.
  private let shared: SharedLock?

  /// - Parameter fileSystem: what holds the workspace; nil: what the system says
  /// - Throws: `PipelineError.workspaceInUse`, naming the process that has it.
  public init(
    _ workspace: Workspace, fileSystem: FileSystemKind? = nil
  ) throws(PipelineError) {
    let isShared = (fileSystem ?? FileSystemKind(at: workspace.path)).isShared
    try workspace.makeFolder("state")
    let path = workspace.path("lock")
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .lastSystemFailure("open", path) }
    let hasLocalLock = flock(descriptor, LOCK_EX | LOCK_NB) == 0
    // Some of the others have no such locks at all.
    guard hasLocalLock || isShared && [ENOSYS, ENOLCK, EOPNOTSUPP].contains(errno) else {
      let failure =
        errno == EWOULDBLOCK
        ? PipelineError.workspaceInUse(path: workspace.path, holder: Self.holder(descriptor))
        : .lastSystemFailure("lock", path)
      close(descriptor)
      throw failure
    }
    do {
      shared = isShared ? try SharedLock(workspace, hasLocalLock: hasLocalLock) : nil
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    // The number is for people; the lock holds without it.
    let text = Array("\(getpid())\n".utf8)
    ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit { close(descriptor) }

  private static func holder(_ descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &buffer, buffer.count, 0)
    let digits = buffer.prefix(max(0, count)).prefix { (48...57).contains($0) }
    return digits.isEmpty
      ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
  }
}

extension PipelineError {
  /// The error for the system call that just set `errno`.
  static func lastSystemFailure(_ operation: String, _ path: String) -> PipelineError {
    .system(operation: operation, path: path, code: errno)
  }
}
