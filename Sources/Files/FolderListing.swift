import Glibc

/// The kind of what exists at a path, links followed; nil if nothing does.
public enum PathKind: Equatable, Sendable {
  case folder
  case file
  /// A device, a pipe or a socket.
  case special

  public init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: self = .folder
    case S_IFREG: self = .file
    default: self = .special
    }
  }
}

/// Identifies a folder independent of the path to it.
struct FolderIdentity: Equatable {
  private let device: UInt64
  private let number: UInt64

  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    device = UInt64(truncatingIfNeeded: status.st_dev)
    number = UInt64(truncatingIfNeeded: status.st_ino)
  }
}

enum FolderListing {
  /// Returns the names in a folder, unordered.
  static func names(in path: String) throws(FileError) -> [String] {
    guard let folder = opendir(path) else { throw .systemFailure("list", path) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}
