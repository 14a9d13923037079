#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// How a number of half precision is stored.
public enum HalfFormat: Sendable {
  /// IEEE 754's 16 bits: 5 of exponent, 10 of fraction.
  case binary16
  /// The upper half of single precision.
  case bfloat16
}

/// Numbers of half precision in memory: weights that are only read, and widened where they are used.
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

  /// Writes the numbers of `range` as `Float`, on all threads.
  public func widen(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    parallelRanges(range.count, grain: elementGrain) { part in
      let source = pointer + range.lowerBound
      switch format {
      case .binary16: for i in part { target[i] = widenedBinary16(source[i]) }
      case .bfloat16: for i in part { target[i] = widenedBfloat16(source[i]) }
      }
    }
  }
}

@inline(__always)
func widenedBinary16(_ bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

@inline(__always)
func widenedBfloat16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
