/// Another checkpoint, whose large tensors of single precision look as if they were stored in half.
///
/// They are rounded while being read, a megabyte at a time: no tensor is ever whole in single
/// precision. All others are unchanged.
public struct NarrowedCheckpoint: CheckpointSource {
  public let entries: [TensorEntry]
  private let source: any CheckpointSource
  private let type: ElementType
  /// By name.
  private let narrowed: [String: TensorEntry]

  /// - Parameters:
  ///   - type: F16 or BF16
  ///   - limit: tensors of at least so many elements are rounded
  public init(_ source: any CheckpointSource, to type: ElementType, from limit: Int) {
    precondition([.f16, .bf16].contains(type), "\(type.rawValue) is not half precision")
    self.source = source
    self.type = type
    var narrowed: [String: TensorEntry] = [:]
    entries = source.entries.map { entry in
      guard entry.type == .f32, entry.elementCount >= limit,
        let other = TensorEntry(name: entry.name, type: type, shape: entry.shape)
      else { return entry }
      narrowed[entry.name] = other
      return other
    }
    self.narrowed = narrowed
  }

  public var path: String { source.path }
  public var metadata: [String: String] { source.metadata }

  public func nameInFile(of name: String) -> String { source.nameInFile(of: name) }

  public func find(_ name: String) -> TensorEntry? { narrowed[name] ?? source.find(name) }

  /// - Throws: `CheckpointError.malformedTensor` for a number that half precision would make infinite.
  public func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard narrowed[name] != nil else {
      return try source.read(name, from: offset, into: buffer)
    }
    let size = type.bitCount / 8
    precondition(
      offset.isMultiple(of: size) && buffer.count.isMultiple(of: size), "elements are read whole")
    let count = buffer.count / size
    let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: min(1 << 18, count))
    defer { floats.deallocate() }
    for start in stride(from: 0, to: count, by: max(1, floats.count)) {
      let part = UnsafeMutableBufferPointer(rebasing: floats.prefix(count - start))
      try source.read(
        name, from: (offset / size + start) * MemoryLayout<Float>.stride,
        into: UnsafeMutableRawBufferPointer(part))
      try requireFit(part, of: name)
      guard let bytes = type.narrowed(UnsafeBufferPointer(part)) else { continue }
      UnsafeMutableRawBufferPointer(rebasing: buffer[(start * size)...]).copyBytes(from: bytes)
    }
  }

  private func requireFit(_ floats: UnsafeMutableBufferPointer<Float>, of name: String) throws {
    guard let limit = type.overflow,
      let large = floats.first(where: { $0.isFinite && $0.magnitude >= limit })
    else { return }
    throw CheckpointError.malformedTensor(
      path: path, tensor: name,
      problem: "\(large) is more than \(type.rawValue) can hold; "
        + (type == .f16 ? "bf16 can, or leave" : "leave") + " the weights as they are stored")
  }
}
