import Files

/// A tensor to be written; its elements are asked for when their turn comes.
public struct OutgoingTensor {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Hands out all bytes in one or several pieces.
  let produce: (_ emit: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  /// A tensor whose stored bytes `bytes` returns.
  public init(
    _ name: String, type: ElementType, shape: [Int], bytes: @escaping () throws -> [UInt8]
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    produce = { emit in try bytes().withUnsafeBytes { try emit($0) } }
  }

  /// A tensor of type F32, F16, BF16 or F64 whose elements `withFloats` hands to its argument, in
  /// one or several calls; they are rounded to nearest, ties to even.
  public init(
    _ name: String, type: ElementType = .f32, shape: [Int],
    withFloats: @escaping (_ body: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Void
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    produce = { emit in
      try withFloats { floats in
        guard type != .f32 else { return try emit(UnsafeRawBufferPointer(floats)) }
        guard let bytes = type.narrowed(floats) else {
          throw CheckpointError.unsuitable(
            path: "output", tensor: name, type: type, wanted: "floats")
        }
        try bytes.withUnsafeBytes { try emit($0) }
      }
    }
  }

  /// A tensor of type F32, F16, BF16 or F64 whose elements `floats` returns.
  public init(
    _ name: String, type: ElementType = .f32, shape: [Int], floats: @escaping () throws -> [Float]
  ) {
    self.init(
      name, type: type, shape: shape,
      withFloats: { body in try floats().withUnsafeBufferPointer { try body($0) } })
  }

  /// A tensor of type I64.
  public init(_ name: String, shape: [Int], integers: [Int]) {
    self.init(
      name, type: .i64, shape: shape, bytes: { integers.withUnsafeBytes { [UInt8]($0) } })
  }
}

/// Writes `tensors` as a safetensors file that appears under `path` whole and durable, or not at all.
///
/// Tensors are ordered as the reference writer orders them (element type descending, then name), so
/// equal content gives equal bytes, whatever the order of `tensors`. The header is padded with
/// spaces to a multiple of 8.
///
/// - Parameter check: looks at what was written, before it takes the place of what is there; what it
///   throws leaves that as it is
/// - Throws: `CheckpointError` for an impossible shape, a name used twice or elements that do not
///   fill the shape; `FileError`; what a tensor's closure or `check` throws.
public func writeSafetensors(
  _ tensors: [OutgoingTensor], metadata: [String: String] = [:], to path: String,
  check: (SafetensorsFile) throws -> Void = { _ in }
) throws {
  let sorted = tensors.inFileOrder
  var header = JSON.Object()
  if !metadata.isEmpty {
    var pairs = JSON.Object()
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { pairs[key] = .string(value) }
    header["__metadata__"] = .object(pairs)
  }
  var offset = 0
  for tensor in sorted {
    guard let entry = TensorEntry(name: tensor.name, type: tensor.type, shape: tensor.shape),
      tensor.name != "__metadata__", header[tensor.name] == nil
    else {
      throw CheckpointError.malformedTensor(
        path: path, tensor: tensor.name,
        problem: "its name is duplicate or reserved, or its shape \(tensor.shape) is impossible")
    }
    let end = offset + entry.byteCount
    header[tensor.name] = [
      "dtype": .string(tensor.type.rawValue), "shape": .array(tensor.shape.map { .integer($0) }),
      "data_offsets": [.integer(offset), .integer(end)],
    ]
    offset = end
  }
  let file = try AtomicFile(path: path)
  try file.append(headerBytes(header))
  for tensor in sorted { try write(tensor, to: file) }
  try check(SafetensorsFile(file.written()))
  try file.commit()
}

/// The SHA-256 of what `writeSafetensors` writes of `tensors` after the header, as 64 hexadecimal
/// digits.
public func safetensorsDataDigest(_ tensors: [OutgoingTensor]) throws -> String {
  var hash = SHA256()
  for tensor in tensors.inFileOrder { try tensor.produce { hash.update($0) } }
  return hash.finalize().hexadecimal
}

extension [OutgoingTensor] {
  fileprivate var inFileOrder: [OutgoingTensor] {
    sorted { ($1.type, $0.name) < ($0.type, $1.name) }
  }
}

private func headerBytes(_ header: JSON.Object) -> [UInt8] {
  var text = Array(JSON.object(header).text().utf8)
  text += repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
  return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
}

private func write(_ tensor: OutgoingTensor, to file: AtomicFile) throws {
  let start = file.byteCount
  try tensor.produce { try file.append($0) }
  let expected =
    TensorEntry(name: tensor.name, type: tensor.type, shape: tensor.shape)?.byteCount ?? 0
  guard file.byteCount - start == expected else {
    throw CheckpointError.wrongSize(
      path: file.path, tensor: tensor.name, expected: expected, found: file.byteCount - start)
  }
}
