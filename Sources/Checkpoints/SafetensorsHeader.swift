import Files

/// The checked header of a safetensors file.
struct SafetensorsHeader {
  struct Tensor {
    let entry: TensorEntry
    /// The first byte and the one after the last, counted from the end of the header.
    let begin: Int
    let end: Int
  }

  private(set) var tensors: [Tensor] = []
  private(set) var metadata: [String: String] = [:]
  let dataOffset: Int
  private let path: String
  private static let kind = "a safetensors file"

  init(_ file: RegularFile, maximumSize: Int) throws {
    path = file.path
    guard file.size >= 8 else {
      try file.requireNoMistake(expected: Self.kind)
      throw CheckpointError.malformed(
        path: path, problem: "\(file.size) bytes, too short for a safetensors file")
    }
    let length = try file.read(at: 0, count: 8).withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
    }
    guard length <= maximumSize, Int(length) <= file.size - 8 else {
      try file.requireNoMistake(expected: Self.kind)
      throw CheckpointError.malformed(
        path: path,
        problem: "the header's length is \(length), but at most \(min(maximumSize, file.size - 8)) "
          + "is possible; the file is damaged or not a safetensors file")
    }
    dataOffset = 8 + Int(length)
    let text = try file.read(at: 8, count: Int(length))
    guard text.first == UInt8(ascii: "{") else {
      try file.requireNoMistake(expected: Self.kind)
      throw CheckpointError.malformed(path: path, problem: "the header does not start with '{'")
    }
    let header = JSONReader(
      try JSON(parsing: text, source: "\(path) (header)"), path: "\(path) (header)")
    for (name, value) in try header.members() {
      if name == "__metadata__" {
        metadata = try readMetadata(value)
      } else {
        tensors.append(try readTensor(name, value))
      }
    }
    try checkLayout(byteCount: file.size - dataOffset)
  }

  private func readMetadata(_ value: JSONReader) throws(JSONError) -> [String: String] {
    var metadata: [String: String] = [:]
    for (key, text) in try value.members() { metadata[key] = try text.string() }
    return metadata
  }

  private func readTensor(_ name: String, _ value: JSONReader) throws -> Tensor {
    let typeName = try value.string("dtype")
    guard let type = ElementType(rawValue: typeName) else {
      throw malformed(name, "unknown element type \(typeName)")
    }
    let shape = try sizes(value["shape"])
    guard let entry = TensorEntry(name: name, type: type, shape: shape) else {
      throw malformed(name, "shape \(shape) is impossible for type \(typeName)")
    }
    let offsets = try sizes(value["data_offsets"])
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw malformed(name, "data_offsets must be a start and an end, not \(offsets)")
    }
    guard offsets[1] - offsets[0] == entry.byteCount else {
      throw malformed(
        name,
        "\(typeName) of shape \(shape) needs \(entry.byteCount) bytes, "
          + "but data_offsets give \(offsets[1] - offsets[0])")
    }
    return Tensor(entry: entry, begin: offsets[0], end: offsets[1])
  }

  /// The elements of an array of integers, 0 or more, none of them written with a point.
  private func sizes(_ value: JSONReader) throws(JSONError) -> [Int] {
    try value.elements().map { (element) throws(JSONError) in
      guard case .integer(let size) = element.value, size >= 0 else {
        throw element.unexpected(expected: "an integer of at least 0")
      }
      return size
    }
  }

  /// The tensors must fill `byteCount` bytes without holes and overlaps.
  private func checkLayout(byteCount: Int) throws(CheckpointError) {
    var position = 0
    for tensor in tensors.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
      guard tensor.begin == position else {
        let fault =
          tensor.begin < position ? "it overlaps the previous tensor" : "there is a gap before it"
        throw malformed(
          tensor.entry.name, "\(fault): it starts at \(tensor.begin), not at \(position)")
      }
      position = tensor.end
    }
    guard position == byteCount else {
      throw .malformed(
        path: path,
        problem: "the header lists \(position) bytes of tensors, but \(byteCount) follow it; "
          + (position > byteCount
            ? "the file is truncated" : "the file has bytes that belong to no tensor"))
    }
  }

  private func malformed(_ tensor: String, _ problem: String) -> CheckpointError {
    .malformedTensor(path: path, tensor: tensor, problem: problem)
  }
}
