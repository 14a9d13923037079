import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// SHA-256 digests of input files, computed again only when size, time of change or inode differ.
public final class FileDigests {
  private struct Entry {
    var stamp: String
    var digest: String
  }

  private var entries: [String: Entry] = [:]
  private var isChanged = false

  /// Starts with what an earlier run saved; a file that cannot be read counts as empty.
  public init(savedAt path: String? = nil) {
    guard let path, let saved = try? JSON(contentsOf: path).object else { return }
    for (file, value) in saved {
      guard let stamp = value["stamp"]?.string, let digest = value["sha256"]?.string else {
        continue
      }
      entries[file] = Entry(stamp: stamp, digest: digest)
    }
  }

  /// The digest of a file's content, 64 hexadecimal digits.
  public func digest(ofFile path: String) throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { throw PipelineError.lastSystemFailure("inspect", path) }
    let changed = status.st_mtim
    let stamp = "\(status.st_size) \(changed.tv_sec).\(changed.tv_nsec) \(status.st_ino)"
    if let entry = entries[path], entry.stamp == stamp { return entry.digest }
    let digest = try SHA256.digest(of: try RegularFile(path: path)).hexadecimal
    entries[path] = Entry(stamp: stamp, digest: digest)
    isChanged = true
    return digest
  }

  /// A file as a stage's input, identified by its content.
  public func input(file path: String) throws -> StageInput {
    StageInput(name: path, identity: try digest(ofFile: path))
  }

  /// All regular files below a folder as inputs, by path; hidden ones are left out.
  public func inputs(folder path: String) throws -> [StageInput] {
    try Folders.names(in: path).filter { !$0.hasPrefix(".") }.flatMap { name in
      let item = "\(path)/\(name)"
      var status = stat()
      guard stat(item, &status) == 0 else { throw PipelineError.lastSystemFailure("inspect", item) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: return try inputs(folder: item)
      case S_IFREG: return [try input(file: item)]
      default: return []
      }
    }
  }

  /// Keeps the digests for a later run.
  public func save(to path: String) throws {
    guard isChanged else { return }
    var saved = JSON.Object()
    for (file, entry) in entries.sorted(by: { $0.key < $1.key }) {
      saved[file] = ["stamp": .string(entry.stamp), "sha256": .string(entry.digest)]
    }
    try AtomicFile.replace(path, with: Array((JSON.object(saved).text(.pretty) + "\n").utf8))
    isChanged = false
  }
}
