public import HostResources

extension HalfMemory {
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
