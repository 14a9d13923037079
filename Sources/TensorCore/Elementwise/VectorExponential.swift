/// `exp` of eight floats, with a relative error of at most 2e-7.
///
/// Results below the normal range become 0, those above the largest float infinity; NaN stays NaN.
@inlinable @inline(__always)
public func exponential(_ x: SIMD8<Float>) -> SIMD8<Float> {
  var result = exponentialWithinRange(x)
  result.replace(with: 0, where: x .< -87.336_54)
  result.replace(with: .infinity, where: x .> 88.722_83)
  result.replace(with: x, where: x .!= x)
  return result
}

/// The same for floats in -87.336...88.722, undefined for others.
///
///     exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2,  |r| <= ln 2 / 2
@inlinable @inline(__always)
func exponentialWithinRange(_ x: SIMD8<Float>) -> SIMD8<Float> {
  typealias Vector = SIMD8<Float>
  // Added to a float of moderate size, 1.5 * 2^23 leaves its rounded value in the low bits.
  let rounder = Vector(repeating: 12_582_912)
  let shifted = rounder.addingProduct(x, Vector(repeating: 1.442_695_04))
  let exponent = shifted - rounder
  // ln 2 in two parts, the first short enough that its product with the exponent is exact.
  var rest = x.addingProduct(exponent, Vector(repeating: -0.693_145_75))
  rest = rest.addingProduct(exponent, Vector(repeating: -1.428_606_8e-6))

  // The minimax polynomial of degree 6 whose first two coefficients are 1; its own error is 3e-9.
  // In pairs and squares rather than by Horner's rule, since the chain of latencies is the limit.
  let square = rest * rest
  let low = Vector(repeating: 0.499_999_94).addingProduct(Vector(repeating: 0.166_665_21), rest)
  var high = Vector(repeating: 0.041_668_389).addingProduct(
    Vector(repeating: 0.008_368_716_6), rest)
  high = high.addingProduct(Vector(repeating: 0.001_381_459_8), square)
  let series = (rest + 1).addingProduct(low.addingProduct(high, square), square)

  // Adding n to the exponent bits multiplies by 2^n.
  let bits = unsafeBitCast(series, to: SIMD8<Int32>.self)
  let power = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &<< 23
  return unsafeBitCast(bits &+ power, to: Vector.self)
}

/// `log2 e`, which turns the argument of `exp` into that of ``powerOfTwo(_:)``.
let binaryLogarithmOfE: Float = 1.442_695_04

/// `2^x` of eight floats with a relative error of at most 3e-7; x is clamped to -126...126.
///
/// Half the work of `exponential`, for softmaxes and activations: with `n = round(x)` and `f = x - n`,
/// `2^x = 2^n 2^f`, the second by the minimax polynomial of degree 5 that is 1 at 0.
@inline(__always)
package func powerOfTwo(_ x: Vector) -> Vector { limitedPowerOfTwo(x) }

/// The same for vectors of any length.
@inline(__always)
func limitedPowerOfTwo<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  powerOfTwoUpToZero(x.orSmaller(Lanes(repeating: 126)))
}

/// The same if nothing exceeds 126.
@inline(__always)
func powerOfTwoUpToZero<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  powerOfTwoWithinRange(x.orLarger(Lanes(repeating: -126)))
}

/// The same for floats in -126...126, undefined for others.
@inline(__always)
func powerOfTwoWithinRange<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  func all(_ value: Float) -> Lanes { Lanes(repeating: value) }
  let shifted = x + all(12_582_912)
  let f = x - (shifted - all(12_582_912))
  let square = f * f
  let low = all(1).addingProduct(all(0.693_147_004), f)
  let middle = all(0.240_222_424).addingProduct(all(0.055_507_336), f)
  let high = all(0.009_671_513).addingProduct(all(0.001_326_472_73), f)
  let series = low.addingProduct(middle.addingProduct(high, square), square)
  return series.timesPowerOfTwo(inBitsOf: shifted)
}
