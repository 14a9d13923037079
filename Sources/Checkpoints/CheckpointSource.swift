import Files

/// Named tensors that can be read individually: a file, or several that belong together.
public protocol CheckpointSource: Sendable {
  /// The file's path, for messages.
  var path: String { get }

  /// All tensors, by name in ascending order.
  var entries: [TensorEntry] { get }

  /// Returns the tensor called `name`; nil if there is none.
  func find(_ name: String) -> TensorEntry?

  /// Fills `buffer` with the bytes of the tensor `name` from `offset` on, row-major, little-endian.
  func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws

  /// Returns the file's own name for the tensor `name`, for messages.
  func nameInFile(of name: String) -> String

  /// The metadata, as pairs of text; empty for formats without any.
  var metadata: [String: String] { get }
}

extension CheckpointSource {
  public func nameInFile(of name: String) -> String { name }
  public var metadata: [String: String] { [:] }
}

extension CheckpointSource {
  /// The tensor called `name`, which must be there.
  public func entry(_ name: String) throws(CheckpointError) -> TensorEntry {
    guard let entry = find(name) else { throw .missingTensor(path: path, tensor: name) }
    return entry
  }

  /// All bytes of a tensor as they are stored.
  public func bytes(_ name: String) throws -> [UInt8] {
    let count = try entry(name).byteCount
    try requireMemory(count, for: path)
    return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      try read(
        name, from: 0,
        into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
      initialized = count
    }
  }

  /// The elements of a tensor as single-precision numbers, row-major.
  public func floats(_ name: String) throws -> [Float] {
    let count = try entry(name).elementCount
    try requireMemory(4 * count, for: path)
    return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try readFloats(name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// Fills `destination`, one place for each element, from a tensor of type F32, F16, BF16 or F64.
  ///
  /// Half precision and F8 widen exactly; F64 rounds to nearest. Reads in pieces of at most a megabyte.
  public func readFloats(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws
  {
    let entry = try entry(name)
    guard destination.count == entry.elementCount else {
      throw CheckpointError.wrongSize(
        path: path, tensor: name, expected: entry.elementCount, found: destination.count)
    }
    guard entry.type != .f32 else {
      return try read(name, from: 0, into: UnsafeMutableRawBufferPointer(destination))
    }
    let widen = try widening(entry)
    try readPieces(entry) { piece, position in widen(piece, destination, position) }
  }

  /// Throws `CheckpointError.unsuitable` if `readFloats` cannot read the tensor's type.
  public func requireFloats(_ name: String) throws {
    let entry = try entry(name)
    if entry.type != .f32 { _ = try widening(entry) }
  }

  private func widening(_ entry: TensorEntry) throws -> ElementType.Widening {
    guard let widen = entry.type.widening else {
      throw CheckpointError.unsuitable(
        path: path, tensor: entry.name, type: entry.type,
        wanted: "F32, F16, BF16, F64 or an F8 with sign and mantissa")
    }
    return widen
  }

  /// The elements of a tensor of any whole-number type.
  public func integers(_ name: String) throws -> [Int] {
    let entry = try entry(name)
    guard let convert = entry.type.integerConversion else {
      throw CheckpointError.unsuitable(
        path: path, tensor: name, type: entry.type, wanted: "integers")
    }
    var integers: [Int] = []
    integers.reserveCapacity(entry.elementCount)
    try readPieces(entry) { piece, _ in
      guard convert(piece, &integers) else {
        throw CheckpointError.malformedTensor(
          path: path, tensor: name, problem: "an element is larger than \(Int.max)")
      }
    }
    return integers
  }

  /// Reads a tensor of whole-byte elements; `body` gets the bytes and the first element's position.
  func readPieces(
    _ entry: TensorEntry, _ body: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    let elementSize = entry.type.bitCount / 8
    let piece = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(1 << 20, entry.byteCount), alignment: 16)
    defer { piece.deallocate() }
    for offset in stride(from: 0, to: entry.byteCount, by: max(1, piece.count)) {
      let part = UnsafeMutableRawBufferPointer(
        rebasing: piece.prefix(entry.byteCount - offset))
      try read(entry.name, from: offset, into: part)
      try body(UnsafeRawBufferPointer(part), offset / elementSize)
    }
  }
}
