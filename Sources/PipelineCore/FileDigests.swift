import Files
import Glibc

/// SHA-256 digests of files, recomputed only if size, change time or inode differ.
///
/// Files are identified by their real path, so another spelling or a link is the same file. The
/// change time (ctime) counts because, unlike the modification time, it cannot be set.
public final class FileDigests {
  private struct Entry: Equatable {
    var stamp: String
    var digest: String
  }

  private var entries: [ExactText: Entry] = [:]
  private var isChanged = false
  /// The bytes that may still be read; files beyond are assumed unchanged.
  private var budget: Int
  /// Whether files without a known digest are read regardless of the budget.
  private let readsUnknown: Bool
  /// Files that were touched but not read because the budget ran out.
  private(set) var unread: [String] = []
  /// Called with large files before they are read.
  var observe: (_ path: String, _ byteCount: Int) -> Void = { _, _ in }

  private static let large = 1 << 30

  /// Starts from the digests that an earlier run saved; a damaged file counts as empty.
  ///
  /// - Parameters:
  ///   - budget: the total number of bytes that may be read
  ///   - readsUnknown: read files without a known digest regardless of the budget
  public init(savedAt path: String? = nil, budget: Int = .max, readsUnknown: Bool = false) {
    self.budget = budget
    self.readsUnknown = readsUnknown
    guard let path, let files = Self.files(savedAt: path) else { return }
    for (file, value) in files.object ?? JSON.Object() {
      guard let stamp = value["stamp"]?.string, let digest = value["sha256"]?.string else {
        continue
      }
      entries[ExactText(file)] = Entry(stamp: stamp, digest: digest)
    }
  }

  /// Returns the saved digests; nil if the file is damaged.
  private static func files(savedAt path: String) -> JSON? {
    guard let saved = try? JSON(contentsOf: path).object, let files = saved["files"],
      files.object != nil, saved["sha256"]?.string == checksum(files)
    else { return nil }
    return files
  }

  /// Whether a file holds intact saved digests.
  static func isSaved(at path: String) -> Bool { files(savedAt: path) != nil }

  /// Returns the digest of a file's content, 64 hexadecimal digits.
  ///
  /// - Parameter assumed: the digest to return if none is known and the budget does not allow
  ///   reading
  /// - Throws: ``Interruption`` if the user asked to stop
  public func digest(ofFile path: String, assumed: String? = nil) throws -> String {
    let (key, stamp, byteCount) = try Self.identify(path)
    let known = entries[key]
    if let known, known.stamp == stamp { return known.digest }
    guard byteCount <= budget || known == nil && assumed == nil && readsUnknown else {
      unread.append(path)
      return known?.digest ?? assumed ?? "not read"
    }
    budget = budget == .max ? budget : max(0, budget - byteCount)
    if let interruption = Interruption.pending { throw interruption }
    if byteCount >= Self.large { observe(path, byteCount) }
    return try read(path, key, stamp)
  }

  /// Reads a file even if its digest is known.
  func read(_ path: String) throws -> String {
    let (key, stamp, _) = try Self.identify(path)
    return try read(path, key, stamp)
  }

  private func read(_ path: String, _ key: ExactText, _ stamp: String) throws -> String {
    let digest = try SHA256.digest(of: try RegularFile(path: path)).hexadecimal
    note(Entry(stamp: stamp, digest: digest), key)
    return digest
  }

  /// Records the digest of a file that was only moved since it was read.
  public func assign(_ digest: String, toFile path: String) throws {
    let (key, stamp, _) = try Self.identify(path)
    note(Entry(stamp: stamp, digest: digest), key)
  }

  private func note(_ entry: Entry, _ key: ExactText) {
    isChanged = isChanged || entries[key] != entry
    entries[key] = entry
  }

  private static func identify(
    _ path: String
  ) throws -> (key: ExactText, stamp: String, byteCount: Int) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw PipelineError.lastSystemFailure("inspect", path) }
    let (modified, changed) = (status.st_mtim, status.st_ctim)
    let stamp =
      "\(status.st_size) \(modified.tv_sec).\(modified.tv_nsec) "
      + "\(changed.tv_sec).\(changed.tv_nsec) \(status.st_ino)"
    return (ExactText(Folders.canonical(path)), stamp, Int(status.st_size))
  }

  /// Saves the digests of files that still exist.
  public func save(to path: String) throws {
    guard isChanged else { return }
    var files = JSON.Object()
    for (file, entry) in entries.sorted(by: { $0.key < $1.key }) where Folders.exists(file.text) {
      files[file.text] = ["stamp": .string(entry.stamp), "sha256": .string(entry.digest)]
    }
    let saved: JSON = [
      "files": .object(files), "sha256": .string(Self.checksum(.object(files))),
    ]
    do {
      try AtomicFile.replace(path, with: Array((saved.text(.pretty) + "\n").utf8))
    } catch {
      // Without them files are merely read again.
      guard case .system(_, _, EROFS) = error else { throw error }
    }
    isChanged = false
  }

  private static func checksum(_ files: JSON) -> String {
    SHA256.hexDigest(of: Array(files.text().utf8))
  }
}

// MARK: - Inputs

extension FileDigests {
  /// A file as a stage's input, identified by its content.
  ///
  /// - Parameter name: the file's role in the stage, such as `prompts`; the same input wherever it
  ///   lies. Nil: its real path.
  public func input(file path: String, as name: String? = nil) throws -> StageInput {
    StageInput(
      name: name ?? Folders.canonical(path), path: path, identity: try digest(ofFile: path))
  }

  /// Returns all regular files below a folder as inputs, by path, without hidden ones.
  ///
  /// Symbolic links are followed, except to folders that contain the link: following those would
  /// never end.
  ///
  /// - Parameter name: the folder's role in the stage, such as `model`
  /// - Throws: `PipelineError.unusableInput` for such a link
  public func inputs(folder path: String, as name: String) throws -> [StageInput] {
    try inputs(folder: path, as: name, visiting: FolderIdentity.allAbove(path))
  }

  /// - Parameter visiting: the folders being listed: this one and its parents
  private func inputs(
    folder path: String, as name: String, visiting: Set<FolderIdentity>
  ) throws -> [StageInput] {
    try Folders.names(in: path).filter { !$0.hasPrefix(".") }.flatMap { entry in
      let (item, itemName) = ("\(path)/\(entry)", "\(name)/\(entry)")
      var status = stat()
      guard stat(item, &status) == 0 else { throw PipelineError.lastSystemFailure("inspect", item) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR:
        guard !visiting.contains(FolderIdentity(status)) else {
          throw PipelineError.unusableInput(
            path: item,
            reason:
              "is a link to \(Folders.canonical(item)), a folder that contains it; remove the link")
        }
        return try inputs(
          folder: item, as: itemName, visiting: visiting.union(FolderIdentity.allAbove(item)))
      case S_IFREG: return [try input(file: item, as: itemName)]
      default: return []
      }
    }
  }
}

/// A folder's identity, independent of how its path is spelled.
private struct FolderIdentity: Hashable {
  private let device: dev_t
  private let number: ino_t

  init(_ status: stat) { (device, number) = (status.st_dev, status.st_ino) }

  /// Returns the identities of a folder and of all its parents.
  static func allAbove(_ path: String) -> Set<FolderIdentity> {
    var identities: Set<FolderIdentity> = []
    var folder = Folders.canonical(path)
    while true {
      var status = stat()
      if stat(folder, &status) == 0 { identities.insert(FolderIdentity(status)) }
      let parent = Folders.parent(of: folder)
      guard parent != folder, parent != "." else { return identities }
      folder = parent
    }
  }
}
