import Glibc

/// Storage outside memory: an unnamed file that disappears when the process ends.
///
/// Nothing is synced.
public final class ScratchFile {
  /// The size in bytes.
  public let size: Int
  private let path: String
  private let descriptor: Int32

  /// Creates a file of zeros on the disk of `folder`.
  public init(in folder: String, size: Int) throws(FileError) {
    let path = TemporaryName.beside("\(folder)/scratch")
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .systemFailure("create", path) }
    guard unlink(path) == 0, ftruncate(descriptor, off_t(size)) == 0 else {
      let failure = FileError.systemFailure("prepare", path)
      close(descriptor)
      throw failure
    }
    self.size = size
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Fills `buffer` with the bytes from `offset` on.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) {
    try transfer(at: offset, byteCount: buffer.count, "read") { done in
      pread(
        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
    }
  }

  /// Overwrites the bytes from `offset` on by `bytes`.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try transfer(at: offset, byteCount: bytes.count, "write") { done in
      pwrite(
        descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
    }
  }

  private func transfer(
    at offset: Int, byteCount: Int, _ operation: String, _ some: (_ done: Int) -> Int
  ) throws(FileError) {
    guard offset >= 0, offset <= size, byteCount <= size - offset else {
      throw .endOfFile(path: path, offset: offset, wanted: byteCount, size: size)
    }
    var done = 0
    while done < byteCount {
      let count = some(done)
      if count < 0 {
        if errno == EINTR { continue }
        throw .systemFailure(operation, path)
      }
      guard count > 0 else {
        throw .endOfFile(path: path, offset: offset, wanted: byteCount, size: offset + done)
      }
      done += count
    }
  }
}
