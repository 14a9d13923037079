import Files
import Glibc

/// The checkpoints of a training stage: `step-000400/` and so on, each complete or absent.
///
/// A checkpoint is written under a ``TemporaryName``; its files are synced and listed with size and
/// digest in `manifest.json`, and only then is the folder renamed.
public struct CheckpointFolders {
  public let folder: String
  private let keptCount: Int
  package static let manifestName = "manifest.json"
  private static let replacedEnding = ".replaced"

  /// - Parameter keeping: the number of newest checkpoints kept when another is written.
  public init(in folder: String, keeping keptCount: Int = 2) {
    precondition(keptCount >= 1, "\(keptCount) checkpoints kept")
    self.folder = folder
    self.keptCount = keptCount
  }

  /// The steps of the complete checkpoints, oldest first.
  ///
  /// A folder without a manifest does not count: a checkpoint is renamed only once it has one.
  public func steps() throws -> [Int] {
    try Folders.names(in: folder).compactMap(step).filter { isCheckpoint(path(step: $0)) }.sorted()
  }

  private func isCheckpoint(_ path: String) -> Bool {
    Folders.exists("\(path)/\(Self.manifestName)")
  }

  /// The path of a step's checkpoint, present or future.
  public func path(step: Int) -> String {
    let digits = String(step)
    let zeros = String(repeating: "0", count: max(0, 6 - digits.count))
    return "\(folder)/step-\(zeros)\(digits)"
  }

  /// Returns the newest complete checkpoint after verifying its files against their digests.
  ///
  /// - Throws: `PipelineError.damaged` if a file differs from what was written.
  public func newest() throws -> (step: Int, path: String)? {
    guard let step = try steps().last else { return nil }
    let path = path(step: step)
    try Self.verify(path)
    return (step, path)
  }

  /// Describes what is wrong with the checkpoints, one line per finding.
  public func findings() throws -> [String] {
    try steps().compactMap { step in
      do {
        try Self.verify(path(step: step))
        return nil
      } catch {
        return "\(error)"
      }
    }
  }

  /// Writes a checkpoint and removes the oldest.
  ///
  /// - Parameter body: writes the files into the folder at the given path.
  public func write(step: Int, _ body: (String) throws -> Void) throws {
    let final = path(step: step)
    let temporary = TemporaryName.beside(final)
    try removeLeftovers()
    try Folders.make(temporary)
    do {
      try body(temporary)
      try Self.writeManifest(temporary)
      try Folders.sync(temporary)
      if Folders.exists(final), !isCheckpoint(final) { try moveContents(of: final, to: temporary) }
      // A checkpoint of this step can only be a repeat, written after a fault.
      let replaced = TemporaryName.beside("\(final)\(Self.replacedEnding)")
      guard rename(final, replaced) == 0 || errno == ENOENT else {
        throw PipelineError.lastSystemFailure("rename to \(replaced)", final)
      }
      guard rename(temporary, final) == 0 else {
        throw PipelineError.lastSystemFailure("rename to \(final)", temporary)
      }
    } catch {
      try? Folders.remove(temporary)
      throw error
    }
    try Folders.sync(folder)
    try removeSuperseded()
  }

  /// Removes all but the newest, even if a killed process failed to.
  package func removeSuperseded() throws {
    for old in try steps().dropLast(keptCount) { try remove(step: old) }
    try removeLeftovers()
  }

  /// Removes what a killed process was writing or removing.
  func removeLeftovers() throws {
    try Folders.removeLeftovers(in: folder) { target in
      let name =
        target.hasSuffix(Self.replacedEnding)
        ? String(target.dropLast(Self.replacedEnding.count)) : target
      return step(name) != nil
    }
  }

  /// Removes a checkpoint, which stays complete until it is gone; foreign files are kept.
  package func remove(step: Int) throws {
    let path = path(step: step)
    let manifest = "\(path)/\(Self.manifestName)"
    let own = (try? JSONReader(contentsOf: manifest).members().map(\.key)) ?? []
    let names = try Folders.names(in: path)
    let hasFilesAlone = !names.contains { Folders.isFolder("\(path)/\($0)") }
    guard Set(names) != Set(own + [Self.manifestName]) || !hasFilesAlone else {
      return try Folders.discard(path)
    }
    try Folders.removeFile(manifest)
    for name in own { try Folders.removeFile("\(path)/\(name)") }
  }

  /// Moves foreign files out of a checkpoint's place and removes the folder.
  private func moveContents(of folder: String, to other: String) throws {
    for name in try Folders.names(in: folder) {
      let (path, target) = ("\(folder)/\(name)", "\(other)/\(name)")
      guard !Folders.exists(target) else {
        let stage = self.folder.split(separator: "/").dropLast().last.map(String.init) ?? ""
        throw WorkspaceError.occupied(path: path, stage: stage)
      }
      guard rename(path, target) == 0 else {
        throw PipelineError.lastSystemFailure("rename to \(target)", path)
      }
    }
    try Folders.remove(folder)
  }

  private func step(_ name: String) -> Int? {
    guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)) else { return nil }
    return path(step: step) == "\(folder)/\(name)" ? step : nil
  }

  private static func writeManifest(_ folder: String) throws {
    var files = JSON.Object()
    for name in try Folders.names(in: folder) {
      let path = "\(folder)/\(name)"
      let file = try RegularFile(path: path)
      files[name] = [
        "byte_count": .integer(file.size),
        "sha256": .string(try SHA256.digest(of: file).hexadecimal),
      ]
      try Folders.sync(path)
    }
    try AtomicFile.replace(
      "\(folder)/\(manifestName)", with: Array((JSON.object(files).text(.pretty) + "\n").utf8))
  }

  /// Verifies the files of a checkpoint against their digests.
  static func verify(_ folder: String) throws {
    for (name, entry) in try JSONReader(contentsOf: "\(folder)/\(manifestName)").members() {
      let path = "\(folder)/\(name)"
      let file = try RegularFile(path: path)
      let byteCount = try entry.int("byte_count")
      let hint = "delete the folder \(folder) to continue from the previous checkpoint"
      guard file.size == byteCount else {
        throw PipelineError.damaged(
          path: path, reason: "\(file.size) bytes instead of \(byteCount); \(hint)")
      }
      let digest = try entry.string("sha256")
      guard try SHA256.digest(of: file).hexadecimal == digest else {
        throw PipelineError.damaged(path: path, reason: "its digest does not match; \(hint)")
      }
    }
  }
}
