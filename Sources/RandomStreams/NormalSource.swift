/// A stream of standard normal numbers.
///
/// Tensors are filled in the order of their elements in checkpoints' layout,
/// `[batch, channel, height, width]`.
public protocol NormalSource {
  /// Overwrites every element with the next numbers of the stream.
  mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>)
}

extension NormalSource {
  /// The next `count` numbers of the stream.
  public mutating func normals(count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      fillNormal(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }
}
