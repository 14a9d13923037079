import Files

/// A checkpoint written by `torch.save` (`.bin`, `.pt`, `.pth`, `.ckpt`): a pickle and the bytes of
/// storages, since torch 1.6 in a zip archive.
///
/// The tensors of nested dictionaries and lists are named by their path: `state_dict.weight`,
/// `layers.0`. Numbers beside them are kept; texts and objects of other classes are read over, and
/// nothing is ever run.
public struct TorchCheckpoint: CheckpointSource {
  public let path: String
  public let entries: [TensorEntry]
  /// Numbers that are no tensors, by path.
  public let numbers: [String: Double]
  private let file: RegularFile
  private let tensors: [String: Located]

  private struct Located {
    let entry: TensorEntry
    let tensor: TorchTensor
    /// Where the storage begins in the file.
    let storageOffset: Int
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
          path: path, tensor: name, problem: "its name occurs twice")
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
    let tensor = located.tensor
    let elementSize = tensor.storage.type.bitCount / 8
    if tensor.isContiguous {
      try file.read(at: located.storageOffset + tensor.offset * elementSize + offset, into: buffer)
    } else {
      buffer.copyBytes(from: try gather(located, elementSize)[offset..<offset + buffer.count])
    }
  }

  /// The bytes of a tensor whose elements are scattered over its storage.
  private func gather(_ located: Located, _ elementSize: Int) throws -> [UInt8] {
    let storage = try file.read(
      at: located.storageOffset, count: located.tensor.storage.elementCount * elementSize)
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
    guard place.count / elementSize == tensor.storage.elementCount,
      place.count.isMultiple(of: elementSize)
    else {
      throw .malformedTensor(
        path: path, tensor: name,
        problem:
          "its storage \(storage) has \(place.count) bytes, not \(tensor.storage.elementCount) "
          + "elements of type \(tensor.storage.type.rawValue)")
    }
    return Located(entry: entry, tensor: tensor, storageOffset: place.lowerBound)
  }
}
