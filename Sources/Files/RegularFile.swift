import Glibc

/// A regular file open for reading at any offset.
///
/// Bytes are read with `pread`, never mapped: a file that shrinks while it is read causes an error,
/// not a signal. Any thread may read.
public final class RegularFile: Sendable {
  public let path: String
  /// The size in bytes when the file was opened.
  public let size: Int
  private let descriptor: Int32

  public convenience init(path: String) throws(FileError) { try self.init(path: path, named: nil) }

  /// - Parameter name: the file's name in messages; nil: its path
  init(path: String, named name: String?) throws(FileError) {
    let opened = path
    let path = name ?? path
    // Without O_NONBLOCK, opening a FIFO would wait for a writer that never comes.
    descriptor = open(opened, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .systemFailure("open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let failure = FileError.systemFailure("inspect", path)
      close(descriptor)
      throw failure
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw status.st_mode & S_IFMT == S_IFDIR ? .isFolder(path: path) : .notRegular(path: path)
    }
    self.path = path
    size = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Fills `buffer` with the bytes from `offset` on.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) {
    guard offset >= 0, offset <= size, buffer.count <= size - offset else {
      throw .endOfFile(path: path, offset: offset, wanted: buffer.count, size: size)
    }
    var done = 0
    while done < buffer.count {
      let count = pread(
        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw .systemFailure("read", path)
      }
      guard count > 0 else {
        throw .endOfFile(path: path, offset: offset, wanted: buffer.count, size: offset + done)
      }
      done += count
    }
  }

  /// The `count` bytes from `offset` on.
  ///
  /// The range is checked before anything is allocated.
  public func read(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw .endOfFile(path: path, offset: offset, wanted: count, size: size)
    }
    try requireMemory(count, for: path)
    var failure: FileError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(FileError) {
        let raw = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
        try read(at: offset, into: raw)
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// The whole file.
  public func readAll() throws(FileError) -> [UInt8] { try read(at: 0, count: size) }
}

extension RegularFile {
  /// Raises the number of files that can be open simultaneously, as far as the system allows.
  ///
  /// The default limit is 1,024; the permitted one is much higher.
  ///
  /// - Returns: the resulting limit
  @discardableResult
  public static func allowOpen(_ count: Int) -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limits = rlimit()
    guard getrlimit(resource, &limits) == 0 else { return 0 }
    // In addition to other open files: databases, logs, the files of a model.
    let wanted = rlim_t(count + 1024)
    if limits.rlim_cur < wanted {
      let before = limits.rlim_cur
      limits.rlim_cur = min(wanted, limits.rlim_max)
      if setrlimit(resource, &limits) != 0 { limits.rlim_cur = before }
    }
    return Int(clamping: limits.rlim_cur)
  }
}
