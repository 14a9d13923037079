import Files
import Synchronization

/// A checkpoint written by `torch.save` (`.bin`, `.pt`, `.pth`, `.ckpt`): a pickle and the bytes of
/// storages, since torch 1.6 in a zip archive.
///
/// The tensors of nested dictionaries and lists are named by their path: `state_dict.weight`,
/// `layers.0`. Numbers among them are kept; texts and objects of other classes are skipped, and
/// nothing is ever executed.
public struct TorchCheckpoint: CheckpointSource {
  public let path: String
  public let entries: [TensorEntry]
  /// Numbers that are no tensors, by path.
  public let numbers: [String: Double]
  private let file: RegularFile
  private let tensors: [String: Located]
  private let verified = VerifiedStorages()

  private struct Located {
    let entry: TensorEntry
    let tensor: TorchTensor
    let bytes: StoredBytes
  }

  /// Whether a file with this beginning is one of torch.
  public static func begins(_ head: [UInt8]) -> Bool {
    head.starts(with: [0x50, 0x4B, 3, 4]) || UnarchivedTorchFile.begins(head)
  }

  /// - Throws: `CheckpointError` or `FileError`.
  public init(path: String) throws {
    let file = try RegularFile(path: path)
    let head = try file.read(at: 0, count: min(64, file.size))
    let contents =
      UnarchivedTorchFile.begins(head)
      ? try UnarchivedTorchFile.contents(of: file) : try ArchivedTorchFile.contents(of: file)
    let collector: TensorCollector
    do throws(Unpickler.Failure) {
      collector = try TensorCollector(contents.root, containers: contents.unpickler.containers)
    } catch {
      throw CheckpointError.malformed(path: path, problem: error.problem)
    }
    if collector.tensors.isEmpty, !contents.unpickler.calledNames.isEmpty {
      let names = contents.unpickler.calledNames.sorted().prefix(3).joined(separator: ", ")
      throw CheckpointError.malformed(
        path: path,
        problem:
          "it holds objects (\(names)), but no tensors; save the model's state_dict() instead")
    }
    var tensors: [String: Located] = [:]
    for (name, tensor) in collector.tensors {
      let located = try Self.locate(name, tensor, contents, path)
      guard tensors.updateValue(located, forKey: name) == nil else {
        throw CheckpointError.malformedTensor(
          path: path, tensor: name, problem: "duplicate name")
      }
    }
    self.path = path
    self.file = file
    self.tensors = tensors
    numbers = collector.numbers
    entries = tensors.values.map(\.entry).sorted { $0.name < $1.name }
  }

  public func find(_ name: String) -> TensorEntry? { tensors[name]?.entry }

  public func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let located = tensors[name] else {
      throw CheckpointError.missingTensor(path: path, tensor: name)
    }
    precondition(
      offset >= 0 && buffer.count <= located.entry.byteCount - offset,
      "bytes \(offset) to \(offset + buffer.count) of a tensor of \(located.entry.byteCount)")
    try verify(located)
    let tensor = located.tensor
    let elementSize = tensor.storage.type.bitCount / 8
    if tensor.isContiguous {
      try file.read(
        at: located.bytes.range.lowerBound + tensor.offset * elementSize + offset, into: buffer)
    } else {
      buffer.copyBytes(from: try gather(located, elementSize)[offset..<offset + buffer.count])
    }
  }

  /// Compares a storage with its checksum, before its first use.
  private func verify(_ located: Located) throws {
    let key = located.tensor.storage.key
    guard let checksum = located.bytes.checksum, !verified.contains(key) else { return }
    guard try file.crc32(of: located.bytes.range) == checksum else {
      throw CheckpointError.malformedTensor(
        path: path, tensor: located.entry.name,
        problem: "the checksum of its storage \(key) is wrong: the file is damaged; download it "
          + "again")
    }
    verified.insert(key)
  }

  /// The bytes of a tensor whose elements are scattered over its storage.
  private func gather(_ located: Located, _ elementSize: Int) throws -> [UInt8] {
    let storage = try file.read(
      at: located.bytes.range.lowerBound, count: located.tensor.storage.elementCount * elementSize)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(located.entry.byteCount)
    located.tensor.forEachPosition { position in
      bytes += storage[position * elementSize..<(position + 1) * elementSize]
    }
    return bytes
  }

  private static func locate(
    _ name: String, _ tensor: TorchTensor, _ contents: TorchContents, _ path: String
  ) throws(CheckpointError) -> Located {
    let storage = contents.storageFolder + tensor.storage.key
    guard let entry = TensorEntry(name: name, type: tensor.storage.type, shape: tensor.shape),
      let place = contents.storages[tensor.storage.key]
    else {
      throw .malformedTensor(path: path, tensor: name, problem: "its storage \(storage) is missing")
    }
    let elementSize = tensor.storage.type.bitCount / 8
    let byteCount = place.range.count
    guard byteCount / elementSize == tensor.storage.elementCount,
      byteCount.isMultiple(of: elementSize)
    else {
      throw .malformedTensor(
        path: path, tensor: name,
        problem:
          "its storage \(storage) has \(byteCount) bytes, not \(tensor.storage.elementCount) "
          + "elements of type \(tensor.storage.type.rawValue)")
    }
    return Located(entry: entry, tensor: tensor, bytes: place)
  }
}

/// The keys of storages whose checksums were compared.
private final class VerifiedStorages: Sendable {
  private let keys = Mutex<Set<String>>([])

  func contains(_ key: String) -> Bool { keys.withLock { $0.contains(key) } }
  func insert(_ key: String) { keys.withLock { _ = $0.insert(key) } }
}
