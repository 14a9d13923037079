import Files
import Glibc

/// A writer of a part's file.
///
/// A file has one writer and only grows; each attempt at a part begins its own. So all that is
/// required of the file system is that two processes cannot create the same name, which network
/// file systems guarantee, too.
package final class PartWriter {
  package var path: String { file.path }
  private let file: AppendFile
  private var index: [UInt8] = []
  private var lastSync = ContinuousClock.now

  /// Creates a part's next file: `7-of-64.part`, then `7-of-64.2.part`.
  ///
  /// - Parameter attempt: the first number to try, from 1
  package init(_ header: PartHeader, in folder: String, attempt: Int = 1) throws {
    try Folders.make(folder)
    file = try Self.create(PartName(header, attempt: attempt), in: folder)
    let json = Array(header.json.text().utf8)
    let bytes = PartFormat.magic + PartFormat.littleEndian(UInt32(json.count)) + json
    try file.append(bytes + SHA256.digest(of: bytes))
    try Folders.sync(folder)
  }

  private static func create(_ name: PartName, in folder: String) throws -> AppendFile {
    var name = name
    while true {
      do {
        return try AppendFile(path: "\(folder)/\(name)", mustBeNew: true)
      } catch {
        guard case .system(_, _, EEXIST) = error else { throw error }
        name.attempt += 1
      }
    }
  }

  /// Appends an item's output, or the reason for its rejection.
  package func append(_ kind: PartEntry.Kind, position: Int, key: String, output: [UInt8]) throws {
    index += PartFormat.littleEndian(UInt64(file.size))
    index += try append(kind, position, SHA256.digest(of: Array(key.utf8)), output)
    // If the machine crashes, at most a few seconds of work are lost.
    guard ContinuousClock.now - lastSync > .seconds(3) else { return }
    try file.sync()
    lastSync = .now
  }

  /// Appends a record and returns its head.
  private func append(
    _ kind: PartEntry.Kind, _ position: Int, _ key: [UInt8], _ output: [UInt8]
  ) throws -> [UInt8] {
    var head = Array(kind.rawValue.utf8)
    head += PartFormat.littleEndian(UInt64(position))
    head += PartFormat.littleEndian(UInt64(output.count))
    head += key
    var hash = SHA256()
    hash.update(head)
    hash.update(output)
    head += hash.finalize()
    try file.append(head + output)
    return head
  }

  /// Syncs the appended records to disk.
  func sync() throws { try file.sync() }

  /// Marks the part as complete.
  package func finish() throws {
    let offset = file.size
    _ = try append(.index, 0, [UInt8](repeating: 0, count: PartFormat.digestSize), index)
    try file.append(PartFormat.littleEndian(UInt64(offset)) + PartFormat.end)
    try file.sync()
  }
}

/// `7-of-64.part`, or `7-of-64.2.part` for the second attempt.
struct PartName: Equatable, CustomStringConvertible {
  static let ending = ".part"

  let index: Int
  let count: Int
  var attempt: Int

  init(_ header: PartHeader, attempt: Int) {
    (index, count, self.attempt) = (header.index, header.count, attempt)
  }

  var description: String {
    "\(index)-of-\(count)\(attempt > 1 ? ".\(attempt)" : "")\(Self.ending)"
  }

  /// Whether a file name belongs to an attempt at the part.
  static func matches(_ name: String, _ partition: Partition) -> Bool {
    name.hasPrefix("\(partition.index)-of-\(partition.count).") && name.hasSuffix(ending)
  }

  /// Returns the number of this attempt at the job, from 1, if the engine reports it.
  static func attempt(in environment: [String: String]) -> Int {
    // Restarts count from 0, attempts from 1.
    if let restarts = environment["SLURM_RESTART_COUNT"].flatMap({ Int($0) }) {
      return max(0, min(restarts, 1 << 20)) + 1
    }
    return max(1, min(environment["AWS_BATCH_JOB_ATTEMPT"].flatMap { Int($0) } ?? 1, 1 << 20))
  }
}
