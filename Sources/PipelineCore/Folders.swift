import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What is done to whole folders.
public enum Folders {
  /// Makes a folder and those above it.
  public static func make(_ path: String) throws(PipelineError) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try make(String(path[..<slash]))
    }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw .lastSystemFailure("make the folder", path)
    }
  }

  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The size of a file; 0 if it cannot be told.
  public static func byteCount(of path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  /// The names in a folder, sorted; none if the folder does not exist.
  public static func names(in path: String) throws(PipelineError) -> [String] {
    guard let folder = opendir(path) else {
      if errno == ENOENT { return [] }
      throw .lastSystemFailure("list", path)
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file, or a folder with all that is in it; does not follow links.
  public static func remove(_ path: String) throws(PipelineError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .lastSystemFailure("inspect", path)
    }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    if isFolder {
      for name in try names(in: path) { try remove("\(path)/\(name)") }
    }
    guard (isFolder ? rmdir(path) : unlink(path)) == 0 else {
      throw .lastSystemFailure("remove", path)
    }
  }

  /// Removes the files and folders of a ``TemporaryName`` that killed processes left in a folder.
  ///
  /// Only the process that may write there can know that no other still needs them.
  public static func removeLeftovers(in path: String) throws(PipelineError) {
    for name in try names(in: path) where TemporaryName.matches(name) {
      try remove("\(path)/\(name)")
    }
  }

  /// Makes a file's bytes or a folder's entries durable.
  public static func sync(_ path: String) throws(PipelineError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastSystemFailure("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .lastSystemFailure("sync", path) }
  }
}
