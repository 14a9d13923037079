import Glibc

/// Checks of the paths of output files and folders.
public enum OutputPath {
  /// Returns the destination of a file written as `path`: `path` itself, or, if that is a symbolic
  /// link to a regular file, its target.
  ///
  /// - Throws: `FileError.unusableOutput` if something other than a regular file exists there, or
  ///   if the folder does not exist
  public static func resolved(_ path: String) throws(FileError) -> String {
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT || errno == ENOTDIR else { throw .systemFailure("write", path) }
      try requireAbsent(path)
      return path
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .unusableOutput(
        path: path, reason: "it is \(description(status)), not a regular file; choose another name")
    }
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
    guard let target = realpath(path, nil) else { throw .systemFailure("write", path) }
    defer { free(target) }
    return String(cString: target)
  }

  /// Rejects an output that would overwrite one of its inputs.
  ///
  /// - Throws: `FileError.unusableOutput` if `path` is one of `inputs`, however each is spelled
  public static func require(_ path: String, isNoneOf inputs: [String]) throws(FileError) {
    guard let output = real(path), inputs.contains(where: { real($0) == output }) else { return }
    throw .unusableOutput(path: path, reason: "it is the input file; choose another name")
  }

  private static func real(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// - Throws: `FileError.unusableOutput` if anything is there, or if the folder does not exist
  public static func requireAbsent(_ path: String) throws(FileError) {
    guard let last = path.last else {
      throw .unusableOutput(path: "\"\"", reason: "the name is empty")
    }
    var status = stat()
    guard lstat(path, &status) != 0 else {
      let isLink = status.st_mode & S_IFMT == S_IFLNK && stat(path, &status) != 0
      throw .unusableOutput(
        path: path,
        reason: isLink
          ? "it is a broken symbolic link; remove it or choose another name"
          : "it already exists; remove it or choose another name")
    }
    guard last != "/" else {
      throw .unusableOutput(path: path, reason: "it is a folder name, not a file name")
    }
    let folder = Self.folder(of: path)
    guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw .unusableOutput(
        path: path, reason: "the folder \(folder) does not exist; create it or choose another name")
    }
  }

  /// Returns the parent folder of `path`, without a trailing slash.
  public static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func description(_ status: stat) -> String {
    switch status.st_mode & S_IFMT {
    case S_IFDIR: "a folder"
    case S_IFIFO: "a pipe"
    case S_IFSOCK: "a socket"
    default: "a device"
    }
  }
}
