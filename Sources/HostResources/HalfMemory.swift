import Glibc

/// The storage format of half-precision numbers.
public enum HalfFormat: Sendable {
  /// IEEE 754's 16 bits: 5 of exponent, 10 of fraction.
  case binary16
  /// The upper half of single precision.
  case bfloat16
}

/// Half-precision numbers in memory: weights that are only read, and widened on use.
///
/// The contents are undefined until written.
public final class HalfMemory {
  public let format: HalfFormat
  public let count: Int
  /// The numbers as they are stored.
  public let pointer: UnsafeMutablePointer<UInt16>

  public init(count: Int, format: HalfFormat) {
    self.format = format
    self.count = count
    // Weights live as long as their model: they take what they need, not a block of the pool.
    let memory = allocateTensorMemory(byteCount: max(1, count) * MemoryLayout<UInt16>.stride)
    pointer = memory.bindMemory(to: UInt16.self, capacity: max(1, count))
  }

  deinit { free(pointer) }
}
