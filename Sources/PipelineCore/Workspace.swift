public import Files
import Glibc

/// The folder that holds everything a pipeline makes.
///
///     catalog.sqlite  shards/  …   the stages' own; `.building` is what takes their place when complete
///     state/STAGE.json             settings, inputs, progress and time of each stage
///     parts/STAGE/                 what parts of a stage have made, until it is merged
///     state/attempts/              records of results that were begun and left for others
///     state/kept/                  what was found in the place of results and is not this program's
///     state/kernels/               machine code that devices run, a folder for each that a record names
///     state/digests.json           digests of input files, by size and time of change
///     lock                         held by the running process
///     lock.owner                   the same, where other machines see the workspace
///     watch.html                   the page that `spo watch` writes
public struct Workspace: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// Returns the path of something inside.
  public func path(_ relative: String) -> String { "\(path)/\(relative)" }

  /// Creates a folder inside, with its parents, and returns its path.
  @discardableResult
  public func makeFolder(_ relative: String) throws(PipelineError) -> String {
    let folder = self.path(relative)
    try Folders.make(folder)
    return folder
  }

  /// Whether this program has written here.
  package var isOurs: Bool {
    Folders.isFolder(path("state"))
      && (Folders.isThere(path("lock")) || FileDigests.isSaved(at: digestsPath))
  }

  /// Rejects a folder that contains something unknown to this program.
  ///
  /// - Parameter names: the paths that stages write
  func requireUsable(knowing names: Set<String>) throws {
    guard Folders.isThere(path) else { return }
    guard Folders.isFolder(path) else { throw WorkspaceError.notFolder(path: path) }
    // A damaged file of ours is rewritten, but nothing behind a link.
    if Folders.isThere(digestsPath),
      !isOurs || !Folders.isRegular(digestsPath)
        || Folders.isLink(digestsPath), !FileDigests.isSaved(at: digestsPath)
    {
      throw WorkspaceError.notOurs(path: path, example: "state/digests.json")
    }
    guard !isOurs else { return }
    let known = names.union([
      "state", WorkspaceLock.fileName, SharedLock.fileName, "parts", Self.watchName, "lost+found",
    ])
    let stranger = try Folders.names(in: path).first { name in
      try !known.contains(name) || !mayBeOurs(name)
    }
    if let stranger { throw WorkspaceError.notOurs(path: path, example: stranger) }
  }

  /// Whether a file with one of our names may be ours in a folder where this program has not
  /// worked: a lock, or a cache that was copied there.
  private func mayBeOurs(_ name: String) throws -> Bool {
    let path = path(name)
    if name == WorkspaceLock.fileName { return try WorkspaceLock.isLock(path) }
    guard name.hasSuffix(".sqlite"), PathKind(of: path) == .file else { return true }
    let header = Array("SQLite format 3\0".utf8)
    let file = try RegularFile(path: path)
    return try file.read(at: 0, count: min(file.size, header.count)).elementsEqual(
      header.prefix(file.size))
  }

  /// The page that `spo watch` writes.
  public static let watchName = "watch.html"
  static let attemptsFolder = "state/attempts"
  static let keptFolder = "state/kept"
  static let kernelsFolder = "state/kernels"

  func partsPath(_ stage: String) -> String { path("parts/\(stage)") }
  func recordPath(_ stage: String) -> String { path("state/\(stage).json") }
  var digestsPath: String { path("state/digests.json") }
}

/// Exclusive write access to a workspace.
///
/// The kernel releases it when the process ends, for whatever reason.
public final class WorkspaceLock {
  static let fileName = "lock"

  private let descriptor: Int32
  /// Whether the file system is read-only, so that there is nothing to protect.
  let isReadOnly: Bool
  /// Nil if only this machine sees the workspace.
  private let shared: SharedLock?

  /// - Parameter fileSystem: the kind of the workspace's file system; nil: the system's answer
  /// - Throws: `PipelineError.workspaceInUse`, naming the process that has it.
  public init(
    _ workspace: Workspace, fileSystem: FileSystemKind? = nil
  ) throws(PipelineError) {
    let isShared = (fileSystem ?? FileSystemKind(at: workspace.path)).isShared
    try Folders.make(workspace.path)
    let path = workspace.path(Self.fileName)
    var descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o644)
    let isReadOnly = descriptor < 0 && errno == EROFS
    // An archive or a snapshot can still be read.
    if isReadOnly { descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { throw .lastSystemFailure("open", path) }
    guard Self.isLock(descriptor) else {
      close(descriptor)
      throw .damaged(
        path: path,
        reason: "it does not belong to this program; move it away or choose another workspace")
    }
    let hasLocalLock = flock(descriptor, LOCK_EX | LOCK_NB) == 0
    // Some shared file systems have no such locks at all.
    guard hasLocalLock || isShared && [ENOSYS, ENOLCK, EOPNOTSUPP].contains(errno) else {
      let failure =
        errno == EWOULDBLOCK
        ? PipelineError.workspaceInUse(path: workspace.path, holder: Self.holder(descriptor))
        : .lastSystemFailure("lock", path)
      close(descriptor)
      throw failure
    }
    do {
      try workspace.makeFolder("state")
      shared = isShared && !isReadOnly ? try SharedLock(workspace, hasLocalLock: hasLocalLock) : nil
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.isReadOnly = isReadOnly
    // The number is for people; the lock holds without it.
    let text = Array("\(getpid())\n".utf8)
    ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit { close(descriptor) }

  /// Whether a file is a lock, held or not: a number on a line, or empty.
  static func isLock(_ path: String) throws(PipelineError) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ELOOP { return false }
      throw .lastSystemFailure("open", path)
    }
    defer { close(descriptor) }
    return isLock(descriptor)
  }

  private static func isLock(_ descriptor: Int32) -> Bool {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    var buffer = [UInt8](repeating: 0, count: 32)
    let count = pread(descriptor, &buffer, buffer.count, 0)
    return (0..<buffer.count).contains(count)
      && buffer.prefix(count).allSatisfy { (48...57).contains($0) || $0 == UInt8(ascii: "\n") }
  }

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
