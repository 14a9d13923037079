import Files

/// A checkpoint written by `torch.save` (`.bin`, `.pt`, `.pth`, `.ckpt`): a zip archive of a pickle
/// and the bytes of storages.
///
/// The tensors of nested dictionaries and lists are named by their path: `state_dict.weight`,
/// `layers.0`. Numbers beside them are kept, texts are read over. Anything else than tensors, storages
/// and containers is refused by name, and nothing is ever run. The format of torch before 1.6,
/// without the archive, is not read.
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

  /// - Throws: `CheckpointError` or `FileError`.
  public init(path: String) throws {
    let file = try RegularFile(path: path)
    let archive = try ZipArchive(file)
    let pickles = archive.entries.keys.filter { $0.hasSuffix("/data.pkl") }
    guard let pickle = pickles.first, pickles.count == 1,
      let program = try archive.content(of: pickle)
    else {
      throw CheckpointError.malformed(
        path: path,
        problem: "a torch checkpoint has one entry data.pkl, this archive \(pickles.count)")
    }
    let folder = pickle.dropLast("data.pkl".count)
    guard
      try archive.content(of: "\(folder)byteorder") ?? Array("little".utf8) == Array("little".utf8)
    else {
      throw CheckpointError.malformed(path: path, problem: "its numbers are not little-endian")
    }
    var tensors: [String: Located] = [:]
    let collected = try Self.collected(program, path: path)
    for (name, tensor) in collected.tensors {
      let located = try Self.locate(name, tensor, archive, "\(folder)data/\(tensor.storage.key)")
      guard tensors.updateValue(located, forKey: name) == nil else {
        throw CheckpointError.malformedTensor(
          path: path, tensor: name, problem: "its name occurs twice")
      }
    }
    self.path = path
    self.file = file
    self.tensors = tensors
    numbers = collected.numbers
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
    _ name: String, _ tensor: TorchTensor, _ archive: ZipArchive, _ storage: String
  ) throws(CheckpointError) -> Located {
    let path = archive.file.path
    guard let entry = TensorEntry(name: name, type: tensor.storage.type, shape: tensor.shape),
      let place = archive.entries[storage]
    else {
      throw .malformedTensor(path: path, tensor: name, problem: "its storage \(storage) is missing")
    }
    let elementSize = tensor.storage.type.bitCount / 8
    guard place.size / elementSize == tensor.storage.elementCount,
      place.size.isMultiple(of: elementSize)
    else {
      throw .malformedTensor(
        path: path, tensor: name,
        problem:
          "its storage \(storage) has \(place.size) bytes, not \(tensor.storage.elementCount) "
          + "elements of type \(tensor.storage.type.rawValue)")
    }
    return Located(entry: entry, tensor: tensor, storageOffset: place.offset)
  }
}

// MARK: - Names

extension TorchCheckpoint {
  /// What a pickle holds, with its names.
  private static func collected(
    _ program: [UInt8], path: String
  ) throws(CheckpointError) -> TensorCollector {
    var unpickler = Unpickler(program)
    do throws(Unpickler.Failure) {
      let root = try unpickler.run()
      var collector = TensorCollector(containers: unpickler.containers)
      try collector.collect(root, name: "", depth: 0)
      return collector
    } catch {
      throw .malformed(path: path, problem: error.problem)
    }
  }
}

/// Walks through nested containers, which may hold each other in circles.
private struct TensorCollector {
  let containers: [[Unpickler.Value]]
  private(set) var tensors: [(String, TorchTensor)] = []
  private(set) var numbers: [String: Double] = [:]
  private var visitCount = 0

  init(containers: [[Unpickler.Value]]) { self.containers = containers }

  mutating func collect(
    _ value: Unpickler.Value, name: String, depth: Int
  ) throws(Unpickler.Failure) {
    visitCount += 1
    guard depth <= 64, visitCount <= 1_000_000, name.utf8.count <= 4096 else {
      throw Unpickler.Failure(
        problem: "containers nest more than 64 deep or hold themselves, or over a million values, "
          + "or values whose names exceed 4,096 bytes")
    }
    switch value {
    case .tensor(let tensor): tensors.append((name, tensor))
    case .sequence(let index):
      for (position, element) in containers[index].enumerated() {
        try collect(element, name: Self.path(name, "\(position)"), depth: depth + 1)
      }
    case .dictionary(let index):
      let members = containers[index]
      for position in stride(from: 0, to: members.count - 1, by: 2) {
        let key: String
        switch members[position] {
        case .string(let text): key = text
        case .int(let number): key = "\(number)"
        default: throw Unpickler.Failure(problem: "a key is neither a text nor a number")
        }
        try collect(members[position + 1], name: Self.path(name, key), depth: depth + 1)
      }
    case .int(let number): numbers[name] = Double(number)
    case .double(let number): numbers[name] = number
    case .none, .bool, .string, .name, .storage: break
    }
  }

  private static func path(_ parent: String, _ key: String) -> String {
    parent.isEmpty ? key : "\(parent).\(key)"
  }
}
