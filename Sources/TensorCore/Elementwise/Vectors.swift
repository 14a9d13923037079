/// Eight adjacent floats: one AVX register, two of NEON.
public typealias Vector = SIMD8<Float>

/// The floats in a register, for kernels that work with registers of eight and of 16.
///
/// Requirements are those that kernels use: members that a generic function finds in `SIMD` itself
/// work lane by lane.
@usableFromInline
protocol FloatVector: SIMD where Scalar == Float {
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  static func / (a: Self, b: Self) -> Self
  func addingProduct(_ a: Self, _ b: Self) -> Self
  /// The larger number in each lane; `self` if either is NaN.
  func orLarger(_ other: Self) -> Self
  /// The smaller number in each lane; `self` if either is NaN.
  func orSmaller(_ other: Self) -> Self
  /// Each number without its sign.
  var magnitudes: Self { get }
  /// `other` in the lanes where `sign` is less than 0.
  func replacing(with other: Self, whereNegative sign: Self) -> Self
  /// `self * 2^n`, where the low bits of `shifted` hold `n`.
  func timesPowerOfTwo(inBitsOf shifted: Self) -> Self
}

extension SIMD8: FloatVector where Scalar == Float {
  @inlinable @inline(__always)
  func orLarger(_ other: Self) -> Self { replacing(with: other, where: other .> self) }

  @inlinable @inline(__always)
  func orSmaller(_ other: Self) -> Self { replacing(with: other, where: other .< self) }

  @inlinable @inline(__always)
  var magnitudes: Self {
    unsafeBitCast(unsafeBitCast(self, to: SIMD8<UInt32>.self) & 0x7FFF_FFFF, to: Self.self)
  }

  @inlinable @inline(__always)
  func replacing(with other: Self, whereNegative sign: Self) -> Self {
    replacing(with: other, where: sign .< 0)
  }

  @inlinable @inline(__always)
  func timesPowerOfTwo(inBitsOf shifted: Self) -> Self {
    let power = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &<< 23
    return unsafeBitCast(unsafeBitCast(self, to: SIMD8<Int32>.self) &+ power, to: Self.self)
  }
}

extension SIMD16: FloatVector where Scalar == Float {
  @inlinable @inline(__always)
  func orLarger(_ other: Self) -> Self { replacing(with: other, where: other .> self) }

  @inlinable @inline(__always)
  func orSmaller(_ other: Self) -> Self { replacing(with: other, where: other .< self) }

  @inlinable @inline(__always)
  var magnitudes: Self {
    unsafeBitCast(unsafeBitCast(self, to: SIMD16<UInt32>.self) & 0x7FFF_FFFF, to: Self.self)
  }

  @inlinable @inline(__always)
  func replacing(with other: Self, whereNegative sign: Self) -> Self {
    replacing(with: other, where: sign .< 0)
  }

  @inlinable @inline(__always)
  func timesPowerOfTwo(inBitsOf shifted: Self) -> Self {
    let power = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &<< 23
    return unsafeBitCast(unsafeBitCast(self, to: SIMD16<Int32>.self) &+ power, to: Self.self)
  }
}

@inline(__always)
func load<Lanes: FloatVector>(_ pointer: UnsafePointer<Float>) -> Lanes {
  UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@inline(__always)
func store<Lanes: FloatVector>(_ vector: Lanes, to pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: Lanes.self)
}

@inline(__always)
func loadVector(_ pointer: UnsafePointer<Float>) -> Vector {
  UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
}

@inline(__always)
func storeVector(_ vector: Vector, to pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: Vector.self)
}

/// The first `count` (under 8) floats, the other lanes 0.
@inline(__always)
func loadPartialVector(_ pointer: UnsafePointer<Float>, _ count: Int) -> Vector {
  var vector = Vector.zero
  for lane in 0..<count { vector[lane] = pointer[lane] }
  return vector
}

@inline(__always)
func storePartialVector(_ vector: Vector, to pointer: UnsafeMutablePointer<Float>, _ count: Int) {
  for lane in 0..<count { pointer[lane] = vector[lane] }
}

/// A function of two numbers, for vectors of any length.
protocol BinaryMap {
  static func result<Lanes: FloatVector>(_ a: Lanes, _ b: Lanes) -> Lanes
}

/// `output[i] = Map.result(a[i], b[i])` on the calling thread, in the widest registers.
@inline(__always)
func mapVectors<Map: BinaryMap>(
  _: Map.Type, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, count: Int
) {
  let wide = TileForm.native == .wide ? count / 16 * 16 : 0
  for index in stride(from: 0, to: wide, by: 16) {
    let (x, y): (SIMD16<Float>, SIMD16<Float>) = (load(a + index), load(b + index))
    store(Map.result(x, y), to: output + index)
  }
  mapVectors(a + wide, b + wide, into: output + wide, count: count - wide) { Map.result($0, $1) }
}

/// The number of elements below which a loop is not worth a second thread.
let elementGrain = 4_096

/// `output[i] = transform(input[i])` on the calling thread; the two may alias.
@inline(__always)
func mapVectors(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int,
  _ transform: (Vector) -> Vector
) {
  var index = 0
  while index + 8 <= count {
    storeVector(transform(loadVector(input + index)), to: output + index)
    index += 8
  }
  let rest = count - index
  guard rest > 0 else { return }
  let vector = transform(loadPartialVector(input + index, rest))
  storePartialVector(vector, to: output + index, rest)
}

/// `output[i] = transform(a[i], b[i])` on the calling thread.
@inline(__always)
func mapVectors(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, count: Int, _ transform: (Vector, Vector) -> Vector
) {
  var index = 0
  while index + 8 <= count {
    storeVector(transform(loadVector(a + index), loadVector(b + index)), to: output + index)
    index += 8
  }
  let rest = count - index
  guard rest > 0 else { return }
  let vector = transform(loadPartialVector(a + index, rest), loadPartialVector(b + index, rest))
  storePartialVector(vector, to: output + index, rest)
}

/// `output[i] = transform(a[i], b[i], c[i])` on the calling thread.
@inline(__always)
func mapVectors(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, count: Int,
  _ transform: (Vector, Vector, Vector) -> Vector
) {
  var index = 0
  while index + 8 <= count {
    storeVector(
      transform(loadVector(a + index), loadVector(b + index), loadVector(c + index)),
      to: output + index)
    index += 8
  }
  let rest = count - index
  guard rest > 0 else { return }
  let vector = transform(
    loadPartialVector(a + index, rest), loadPartialVector(b + index, rest),
    loadPartialVector(c + index, rest))
  storePartialVector(vector, to: output + index, rest)
}

/// The sum of `term(a[i], b[i])`; floats within a block of 4,096, doubles between blocks.
@inline(__always)
func sumVectors(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int,
  _ term: (Vector, Vector) -> Vector
) -> Double {
  var total = 0.0
  var start = 0
  while start < count {
    let end = min(count, start + 4096)
    // A single accumulator would be limited by its latency.
    var (sum, second) = (Vector.zero, Vector.zero)
    var index = start
    while index + 16 <= end {
      sum += term(loadVector(a + index), loadVector(b + index))
      second += term(loadVector(a + index + 8), loadVector(b + index + 8))
      index += 16
    }
    sum += second
    while index + 8 <= end {
      sum += term(loadVector(a + index), loadVector(b + index))
      index += 8
    }
    var blockTotal = sum.sum()
    let rest = end - index
    if rest > 0 {
      let last = term(loadPartialVector(a + index, rest), loadPartialVector(b + index, rest))
      for lane in 0..<rest { blockTotal += last[lane] }
    }
    total += Double(blockTotal)
    start = end
  }
  return total
}
