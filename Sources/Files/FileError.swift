import Glibc

/// An error in reading or writing a file.
public enum FileError: ClassifiedError, Equatable, CustomStringConvertible {
  /// A failed system call; `code` is its `errno`.
  case system(operation: String, path: String, code: Int32)
  /// The path names a folder.
  case isFolder(path: String)
  /// The path names a device or a pipe.
  case notRegular(path: String)
  /// Something else in the file's place, such as a Git LFS pointer.
  case mistaken(path: String, MistakenFile, expected: String)
  /// No file can be written under this path.
  case unusableOutput(path: String, reason: String)
  /// The file ends before the requested bytes, or shrank while it was read.
  case endOfFile(path: String, offset: Int, wanted: Int, size: Int)

  public var kind: FailureKind {
    switch self {
    case .system(_, _, let code): FailureKind(systemError: code)
    case .isFolder, .notRegular, .mistaken, .endOfFile: .input
    case .unusableOutput: .other
    }
  }

  public var description: String {
    switch self {
    case .system(let operation, let path, let code):
      "\(path.isEmpty ? "\"\"" : path): cannot \(operation): \(String(cString: strerror(code)))"
        + (code == EMFILE ? "; raise the limit (ulimit -n)" : "")
    case .isFolder(let path): "\(path) is a folder, expected a file; name a file in it"
    case .notRegular(let path): "\(path) is a device or a pipe, expected a regular file"
    case .mistaken(let path, let mistake, let expected):
      "\(path) \(mistake.problem(expected: expected, ending: path.split(separator: ".").last.map(String.init)))"
    case .unusableOutput(let path, let reason): "\(path): cannot write there: \(reason)"
    case .endOfFile(let path, let offset, let wanted, let size):
      "\(path): cannot read \(wanted) bytes at byte \(offset): the file has only \(size)"
    }
  }
}

extension FileError {
  /// The error for the system call that just set `errno`.
  package static func systemFailure(_ operation: String, _ path: String) -> FileError {
    .system(operation: operation, path: path, code: errno)
  }
}

extension FileError {
  /// Returns the same failure with the path prefix `temporary` replaced by `final`.
  package func replacing(_ temporary: String, with final: String) -> FileError {
    func renamed(_ path: String) -> String {
      path.hasPrefix(temporary) ? final + path.dropFirst(temporary.count) : path
    }
    return switch self {
    case .system(let operation, let path, let code):
      .system(operation: operation, path: renamed(path), code: code)
    case .isFolder(let path): .isFolder(path: renamed(path))
    case .notRegular(let path): .notRegular(path: renamed(path))
    case .mistaken(let path, let mistake, let expected):
      .mistaken(path: renamed(path), mistake, expected: expected)
    case .unusableOutput(let path, let reason):
      .unusableOutput(path: renamed(path), reason: reason)
    case .endOfFile(let path, let offset, let wanted, let size):
      .endOfFile(path: renamed(path), offset: offset, wanted: wanted, size: size)
    }
  }
}

extension FailureKind {
  /// The kind of a system call's failure.
  public init(systemError code: Int32) {
    switch code {
    // EFBIG: the limit on the size of files (`ulimit -f`).
    case ENOSPC, EDQUOT, EFBIG, ENOMEM: self = .space
    // The input does not exist, or the disk cannot read it.
    case ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EISDIR, EIO: self = .input
    default: self = .other
    }
  }
}
