import Files

/// A safetensors file: a header that lists tensors, then their bytes without a gap.
///
/// Everything the header says is checked when the file is opened: names occur once, sizes follow
/// from shapes, the tensors fill the rest of the file exactly, in some order, without holes or
/// overlaps. Whether numbers are finite is not checked.
///
/// Source: <https://github.com/huggingface/safetensors>, README, "Format"
public struct SafetensorsFile: CheckpointSource {
  public let path: String
  public let entries: [TensorEntry]
  /// The free text pairs of the header (`__metadata__`).
  public let metadata: [String: String]
  /// The file offset of the tensors' bytes.
  public let dataOffset: Int

  private let file: RegularFile
  /// By name: the tensor and the offset of its first byte in the file.
  private let positions: [String: (entry: TensorEntry, offset: Int)]

  /// Opens the file at `path` and reads its header.
  ///
  /// - Parameter maximumHeaderSize: in bytes; the default is the format's own limit.
  /// - Throws: `CheckpointError`, `FileError` or `JSONError`.
  public init(path: String, maximumHeaderSize: Int = 100_000_000) throws {
    try self.init(try RegularFile(path: path), maximumHeaderSize: maximumHeaderSize)
  }

  init(_ file: RegularFile, maximumHeaderSize: Int = 100_000_000) throws {
    let header = try SafetensorsHeader(file, maximumSize: maximumHeaderSize)
    path = file.path
    self.file = file
    metadata = header.metadata
    dataOffset = header.dataOffset
    entries = header.tensors.map(\.entry).sorted { $0.name < $1.name }
    var positions: [String: (entry: TensorEntry, offset: Int)] = [:]
    for tensor in header.tensors {
      let place = (tensor.entry, header.dataOffset + tensor.begin)
      // The header's keys differ, but two may be one string by Unicode's rules.
      guard positions.updateValue(place, forKey: tensor.entry.name) == nil else {
        throw CheckpointError.malformedTensor(
          path: path, tensor: tensor.entry.name, problem: "duplicate name")
      }
    }
    self.positions = positions
  }

  public func find(_ name: String) -> TensorEntry? { positions[name]?.entry }

  /// Returns the range of the bytes of the tensor `name` in the file.
  public func byteRange(_ name: String) throws(CheckpointError) -> Range<Int> {
    guard let place = positions[name] else { throw .missingTensor(path: path, tensor: name) }
    return place.offset..<place.offset + place.entry.byteCount
  }

  /// Fills `buffer` with bytes of the file, from where ``byteRange(_:)`` says that a tensor lies.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try file.read(at: offset, into: buffer)
  }

  public func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    let range = try byteRange(name)
    precondition(
      offset >= 0 && buffer.count <= range.count - offset,
      "bytes \(offset) to \(offset + buffer.count) of a tensor of \(range.count)")
    try file.read(at: range.lowerBound + offset, into: buffer)
  }
}
