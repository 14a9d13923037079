/// What can go wrong between a path and its bytes.
public enum FileError: Error, Equatable, CustomStringConvertible {
  /// A system call failed; `reason` is the system's own text.
  case system(operation: String, path: String, reason: String)
  /// The path names a folder, a device or a pipe.
  case notRegular(path: String)
  /// The file ends before the bytes that were asked for, or shrank while it was read.
  case endOfFile(path: String, offset: Int, wanted: Int, size: Int)

  public var description: String {
    switch self {
    case .system(let operation, let path, let reason): "\(path): cannot \(operation): \(reason)"
    case .notRegular(let path): "\(path): not a regular file"
    case .endOfFile(let path, let offset, let wanted, let size):
      "\(path): \(wanted) bytes wanted at byte \(offset), but the file has \(size)"
    }
  }
}
