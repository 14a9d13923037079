import Files
import Glibc

/// Operations on whole folders.
public enum Folders {
  /// Creates a folder and its parents.
  public static func make(_ path: String) throws(PipelineError) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try make(String(path[..<slash]))
    }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw .lastSystemFailure("create the folder", path)
    }
  }

  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether anything has this name, including a broken link.
  static func isThere(_ path: String) -> Bool { mode(path, followsLinks: false) != nil }
  static func isFolder(_ path: String) -> Bool { mode(path) == S_IFDIR }
  static func isRegular(_ path: String) -> Bool { mode(path) == S_IFREG }
  static func isLink(_ path: String) -> Bool { mode(path, followsLinks: false) == S_IFLNK }

  private static func mode(_ path: String, followsLinks: Bool = true) -> mode_t? {
    var status = stat()
    guard (followsLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
    return status.st_mode & S_IFMT
  }

  /// Returns the parent folder of `path`: `.` for a bare name.
  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Returns a path relative to the current folder if it is below it, other paths unchanged.
  static func seenFromHere(_ path: String) -> String {
    let here = canonical(".") + "/"
    return path.hasPrefix(here) ? String(path.dropFirst(here.count)) : path
  }

  /// Returns the unique path of a file however it is spelled, links resolved, even if it does not
  /// exist.
  public static func canonical(_ path: String) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    let parent = parent(of: path)
    guard parent != path, !path.isEmpty else { return path }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    let folder = canonical(parent)
    return folder == "/" ? "/\(name)" : "\(folder)/\(name)"
  }

  /// The size of a file; 0 if it is unknown.
  public static func byteCount(of path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  /// The size of a file, or of all files in a folder.
  package static func totalByteCount(of path: String) throws(PipelineError) -> Int {
    guard isFolder(path), !isLink(path) else { return byteCount(of: path) }
    var sum = 0
    for name in try names(in: path) { sum += try totalByteCount(of: "\(path)/\(name)") }
    return sum
  }

  /// The names in a folder, sorted; empty if the folder does not exist.
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
    return names.sortedExactly()
  }

  /// Removes a file, or a folder with its contents; does not follow links.
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

  /// Removes a file or a link; a folder of this name is foreign and stays.
  static func removeFile(_ path: String) throws(PipelineError) {
    if isThere(path), isFolder(path), !isLink(path) { return }
    try remove(path)
  }

  /// Moves a file within a file system.
  public static func move(_ source: String, to target: String) throws(PipelineError) {
    guard rename(source, target) == 0 else {
      throw .lastSystemFailure("rename to \(target)", source)
    }
  }

  /// Moves a file, even to another file system.
  static func moveFile(_ source: String, to target: String) throws {
    if rename(source, target) == 0 { return }
    guard errno == EXDEV else {
      throw PipelineError.lastSystemFailure("rename to \(target)", source)
    }
    try copyFile(source, to: target)
    try remove(source)
  }

  static func copyFile(_ source: String, to target: String) throws {
    let file = try RegularFile(path: source)
    let copy = try AtomicFile(path: target)
    var position = 0
    while position < file.size {
      if let interruption = Interruption.pending { throw interruption }
      let bytes = try file.read(at: position, count: min(1 << 22, file.size - position))
      try copy.append(bytes)
      position += bytes.count
    }
    try copy.commit()
  }

  /// Removes a folder if it exists and is empty.
  static func removeIfEmpty(_ path: String) throws(PipelineError) {
    guard rmdir(path) == 0 || [ENOENT, ENOTEMPTY, EEXIST].contains(errno) else {
      throw .lastSystemFailure("remove", path)
    }
  }

  /// Removes a folder atomically, by renaming it first: under its name it is complete or absent.
  public static func discard(_ path: String) throws(PipelineError) {
    guard isThere(path) else { return }
    let away = TemporaryName.beside(path)
    guard rename(path, away) == 0 else { throw .lastSystemFailure("rename to \(away)", path) }
    try remove(away)
  }

  /// Removes temporary files and folders that killed processes left anywhere below a folder.
  ///
  /// Only the process that may write there can know that no other still needs them.
  ///
  /// - Parameter isOwn: whether this program writes a file or folder with this path in `path`;
  ///   anything else is the user's and stays
  ///   - age: seconds since the last write before something is removed, for folders where others
  ///     may be working
  public static func removeLeftovers(
    in path: String, unchangedFor age: Int = 0, of isOwn: (_ target: String) -> Bool
  ) throws(PipelineError) {
    try removeLeftovers(in: path, at: "", before: age == 0 ? .max : time(nil) - age, of: isOwn)
  }

  private static func removeLeftovers(
    in path: String, at place: String, before moment: time_t, of isOwn: (_ target: String) -> Bool
  ) throws(PipelineError) {
    for name in try names(in: path) {
      let item = "\(path)/\(name)"
      if let target = TemporaryName.target(of: name, earlier: true), isOwn(place + target) {
        var status = stat()
        guard lstat(item, &status) == 0, status.st_mtim.tv_sec <= moment else { continue }
        try remove(item)
      } else if name != "lost+found", isFolder(item), !isLink(item) {
        try removeLeftovers(in: item, at: "\(place)\(name)/", before: moment, of: isOwn)
      }
    }
  }

  /// Removes what writers of one file have left next to it.
  static func removeLeftovers(of file: String) throws(PipelineError) {
    let folder = parent(of: file)
    for name in try names(in: folder) {
      guard let target = TemporaryName.target(of: name, earlier: true),
        "\(folder)/\(target)" == file
      else { continue }
      try remove("\(folder)/\(name)")
    }
  }

  /// Syncs a file's bytes or a folder's entries to disk.
  public static func sync(_ path: String) throws(PipelineError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastSystemFailure("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .lastSystemFailure("sync", path) }
  }
}
