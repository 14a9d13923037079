import Glibc

/// A file being written that appears under its final name complete and durable, or not at all.
///
/// Bytes go to a file with a ``TemporaryName`` in the same folder. `commit` syncs them to disk
/// (`fsync`), renames the file and makes the rename durable (`fsync` of the folder). Without
/// `commit` the temporary file is removed. Messages name the final path.
public final class AtomicFile {
  public let path: String
  /// Bytes appended so far.
  public private(set) var byteCount = 0
  /// The target of ``path`` if it is a symbolic link.
  private let destination: String
  private let temporaryPath: String
  private var descriptor: Int32

  public init(path: String) throws(FileError) {
    self.path = path
    destination = try OutputPath.resolved(path)
    temporaryPath = TemporaryName.beside(destination)
    descriptor = open(
      temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .systemFailure("create", path) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporaryPath)
  }

  public func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if count < 0 {
        if errno == EINTR { continue }
        throw .systemFailure("write", path)
      }
      done += count
    }
    byteCount += bytes.count
  }

  public func append(_ bytes: [UInt8]) throws(FileError) {
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) { try append(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Opens what was appended so far, to be verified before `commit`.
  public func written() throws(FileError) -> RegularFile {
    try RegularFile(path: temporaryPath, named: path)
  }

  /// Makes the file durable under its final name.
  public func commit() throws(FileError) {
    // A failed fsync is final: the kernel may have dropped the pages, so it is never retried.
    guard fsync(descriptor) == 0 else { throw .systemFailure("sync", path) }
    let closing = descriptor
    descriptor = -1
    guard close(closing) == 0 else {
      let failure = FileError.systemFailure("close", path)
      unlink(temporaryPath)
      throw failure
    }
    guard rename(temporaryPath, destination) == 0 else {
      let failure = FileError.systemFailure("rename to", path)
      unlink(temporaryPath)
      throw failure
    }
    try syncFolder(containing: destination)
  }

  /// Replaces the file at `path` by `bytes`.
  public static func replace(_ path: String, with bytes: [UInt8]) throws(FileError) {
    let file = try AtomicFile(path: path)
    try file.append(bytes)
    try file.commit()
  }
}

/// Makes creations, renames and removals in the folder of `path` durable.
public func syncFolder(containing path: String) throws(FileError) {
  let folder = OutputPath.folder(of: path)
  let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard descriptor >= 0 else { throw .systemFailure("open", folder) }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else { throw .systemFailure("sync", folder) }
}
