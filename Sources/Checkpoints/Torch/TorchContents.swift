import Files

/// The contents of a torch file: its unpickled values, and the location of the storages' bytes.
struct TorchContents {
  let root: Unpickler.Value
  let unpickler: Unpickler
  /// By their keys.
  let storages: [String: StoredBytes]
  /// The prefix of a storage's key in messages.
  let storageFolder: String
}

/// The bytes of a storage in its file.
struct StoredBytes {
  let range: Range<Int>
  /// CRC-32 of all of them; nil in files without checksums.
  let checksum: UInt32?
}

/// A file since torch 1.6: a zip archive with `NAME/data.pkl`, `NAME/data/KEY` for each storage, and
/// some small texts.
enum ArchivedTorchFile {
  /// - Throws: `CheckpointError` or `FileError`
  static func contents(of file: RegularFile) throws -> TorchContents {
    let path = file.path
    let archive = try ZipArchive(file)
    let pickles = archive.entries.keys.filter { $0.hasSuffix("/data.pkl") }
    guard let pickle = pickles.first, pickles.count == 1,
      let program = try archive.content(of: pickle)
    else {
      throw CheckpointError.malformed(
        path: path,
        problem: "a torch checkpoint has one entry data.pkl, but this archive has \(pickles.count)"
          + (pickles.isEmpty ? "; is it another kind of archive, to be unpacked?" : ""))
    }
    let folder = pickle.dropLast("data.pkl".count)
    guard
      try archive.content(of: "\(folder)byteorder") ?? Array("little".utf8) == Array("little".utf8)
    else {
      throw CheckpointError.malformed(path: path, problem: "its values are not little-endian")
    }
    let storageFolder = "\(folder)data/"
    var storages: [String: StoredBytes] = [:]
    for (name, entry) in archive.entries where name.hasPrefix(storageFolder) {
      storages[String(name.dropFirst(storageFolder.count))] =
        StoredBytes(range: entry.offset..<entry.offset + entry.size, checksum: entry.checksum)
    }
    var unpickler = Unpickler(program)
    do throws(Unpickler.Failure) {
      return TorchContents(
        root: try unpickler.run(), unpickler: unpickler, storages: storages,
        storageFolder: storageFolder)
    } catch {
      throw CheckpointError.malformed(path: path, problem: error.problem)
    }
  }
}

/// A file as torch wrote it before 1.6: pickles of a mark, a version, what the writer's numbers look
/// like, the value and the keys of its storages; then, for each key, a count and the elements.
///
/// Source: `torch/serialization.py`, `_legacy_load`.
enum UnarchivedTorchFile {
  /// The mark 0x1950a86a20f9469cfc6c as a pickle has it.
  private static let mark: [UInt8] = [
    0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
  ]
  private static let version = 1001
  /// Pickles are small compared with the elements; what a first read does not cover is read in a
  /// second.
  private static let pickleLimits = [1 << 20, 256 << 20]

  static func begins(_ head: [UInt8]) -> Bool {
    // Between the pickle's two first bytes and the mark there may be the 9 bytes of a frame.
    head.first == 0x80
      && [2, 11].contains { head.dropFirst($0).starts(with: mark) }
  }

  /// - Throws: `CheckpointError` or `FileError`
  static func contents(of file: RegularFile) throws -> TorchContents {
    for limit in pickleLimits {
      let head = try file.read(at: 0, count: min(limit, file.size))
      do {
        return try contents(of: file, head)
      } catch let failure as Unpickler.Failure {
        if failure.isCut, limit < file.size, limit != pickleLimits.last { continue }
        throw CheckpointError.malformed(path: file.path, problem: failure.problem)
      }
    }
    throw CheckpointError.malformed(path: file.path, problem: "its pickles are too large to trust")
  }

  private static func contents(of file: RegularFile, _ head: [UInt8]) throws -> TorchContents {
    var position = 0
    func next() throws(Unpickler.Failure) -> (value: Unpickler.Value, unpickler: Unpickler) {
      var unpickler = Unpickler(head, from: position)
      let value = try unpickler.run()
      position = unpickler.position
      return (value, unpickler)
    }
    _ = try next()
    guard case (.int(version), _) = try next() else {
      throw Unpickler.Failure(
        problem: "an unknown format from torch before 1.6; load and save it again with "
          + "torch 1.6 or newer")
    }
    let writer = try next()
    guard Self.isLittleEndian(writer.value, writer.unpickler.containers) else {
      throw Unpickler.Failure(problem: "its values are not little-endian")
    }
    let (root, unpickler) = try next()
    let (list, listed) = try next()
    guard case .sequence(let index) = list else {
      throw Unpickler.Failure(problem: "the list of storages is missing")
    }
    var storages: [String: StoredBytes] = [:]
    for key in listed.containers[index] {
      guard case .string(let key) = key, let storage = unpickler.storages[key],
        file.size - position >= 8
      else { throw Unpickler.Failure(problem: "a storage is missing; the file is truncated") }
      let count = try file.read(at: position, count: 8).withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
      }
      position += 8
      let size = storage.type.bitCount / 8
      guard count == storage.elementCount, storage.elementCount <= (file.size - position) / size
      else {
        throw Unpickler.Failure(
          problem: "storage \(key) has \(count) elements, but \(storage.elementCount) are listed, "
            + "or the file is truncated")
      }
      let end = position + storage.elementCount * size
      let bytes = StoredBytes(range: position..<end, checksum: nil)
      guard storages.updateValue(bytes, forKey: key) == nil else {
        throw Unpickler.Failure(problem: "storage \(key) is listed twice")
      }
      position = end
    }
    return TorchContents(root: root, unpickler: unpickler, storages: storages, storageFolder: "")
  }

  /// By the member `little_endian` of what the writer said of itself.
  private static func isLittleEndian(
    _ writer: Unpickler.Value, _ containers: [[Unpickler.Value]]
  ) -> Bool {
    guard case .dictionary(let index) = writer else { return false }
    let members = containers[index]
    return stride(from: 0, to: members.count - 1, by: 2).contains { position in
      if case (.string("little_endian"), .bool(true)) = (members[position], members[position + 1]) {
        true
      } else {
        false
      }
    }
  }
}
