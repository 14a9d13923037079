import Glibc

/// A log: a file that grows at its end, each `append` reaching the system before it returns.
public final class AppendFile {
  public let path: String
  /// The size in bytes.
  public private(set) var size: Int
  private let descriptor: Int32

  /// Opens the file at `path`, or creates it.
  ///
  /// - Parameter mustBeNew: refuse an existing file.
  public init(path: String, mustBeNew: Bool = false) throws(FileError) {
    let flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (mustBeNew ? O_EXCL : 0)
    descriptor = open(path, flags, 0o644)
    guard descriptor >= 0 else { throw .systemFailure("open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let failure = FileError.systemFailure("inspect", path)
      close(descriptor)
      throw failure
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .notRegular(path: path)
    }
    self.path = path
    size = Int(status.st_size)
  }

  deinit { close(descriptor) }

  public func append(_ bytes: [UInt8]) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw .systemFailure("write", path)
      }
      done += count
      size += count
    }
  }

  /// Truncates the file to its first `size` bytes.
  public func truncate(to size: Int) throws(FileError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw .systemFailure("cut", path) }
    self.size = size
    try sync()
  }

  /// Syncs everything so far to disk.
  public func sync() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .systemFailure("sync", path) }
  }
}
