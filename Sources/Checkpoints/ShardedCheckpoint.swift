import Files

/// A checkpoint in several files, of safetensors or of torch, joined by an index
/// (`….safetensors.index.json`, `….bin.index.json`).
///
/// The index says for each tensor which file of its own folder holds it; file and index must agree
/// completely. Source: `weight_map` of transformers and diffusers.
public struct ShardedCheckpoint: CheckpointSource {
  public let path: String
  public let entries: [TensorEntry]
  /// The files, by name in ascending order.
  private let files: [any CheckpointSource]
  /// By tensor name: the position of its file.
  private let homes: [String: Int]

  /// - Parameter path: of the index.
  /// - Throws: `CheckpointError`, `FileError` or `JSONError`.
  public init(indexPath path: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    var tensorsByFile: [String: Set<String>] = [:]
    for (tensor, file) in try JSONReader(contentsOf: path)["weight_map"].members() {
      tensorsByFile[try Self.fileName(file), default: []].insert(tensor)
    }
    var files: [any CheckpointSource] = []
    var homes: [String: Int] = [:]
    for (name, tensors) in tensorsByFile.sorted(by: { $0.key < $1.key }) {
      let file = try openCheckpointFile(folder + name)
      if let absent = tensors.filter({ file.find($0) == nil }).min() {
        throw CheckpointError.missingTensor(path: file.path, tensor: absent)
      }
      if let extra = file.entries.first(where: { !tensors.contains($0.name) }) {
        throw CheckpointError.malformedTensor(
          path: file.path, tensor: extra.name, problem: "\(path) does not assign it to this file")
      }
      for tensor in tensors { homes[tensor] = files.count }
      files.append(file)
    }
    self.path = path
    self.files = files
    self.homes = homes
    entries = files.flatMap(\.entries).sorted { $0.name < $1.name }
  }

  public func find(_ name: String) -> TensorEntry? {
    homes[name].flatMap { files[$0].find(name) }
  }

  public func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let home = homes[name] else {
      throw CheckpointError.missingTensor(path: path, tensor: name)
    }
    try files[home].read(name, from: offset, into: buffer)
  }

  /// A shard is in the same folder as its index: its name never refers elsewhere.
  private static func fileName(_ value: JSONReader) throws(JSONError) -> String {
    let name = try value.string()
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(where: { $0 < 0x20 }),
      !name.contains("/"), !name.contains("\\")
    else { throw value.unexpected(expected: "the name of a file in the folder of the index") }
    return name
  }
}
