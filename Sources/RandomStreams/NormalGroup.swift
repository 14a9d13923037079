/// 32 standard normal numbers: radius times cosine and sine of the angle, twice.
typealias NormalGroup = (SIMD8<Float>, SIMD8<Float>, SIMD8<Float>, SIMD8<Float>)

extension RandomStream {
  /// The normal numbers of the next eight blocks.
  mutating func normalGroup() -> NormalGroup {
    let words = nextEightBlocks()
    let radius0 = normalRadius(words.0)
    let (cosine0, sine0) = cosineAndSine(ofTurn: words.1)
    let radius1 = normalRadius(words.2)
    let (cosine1, sine1) = cosineAndSine(ofTurn: words.3)
    return (radius0 * cosine0, radius0 * sine0, radius1 * cosine1, radius1 * sine1)
  }

  /// Words 0 to 3 of the next eight blocks, one block a lane.
  private mutating func nextEightBlocks() -> PhiloxLanes {
    // Lane 2i of eight 32-bit lanes is the lower half of lane i of four 64-bit lanes, so even and odd
    // blocks are computed apart and then interleaved without moving a lane.
    let even = SIMD4<UInt64>(0, 2, 4, 6) &+ nextBlock
    let a = Philox.fourBlocks(indices: even, item: item, key: key)
    let b = Philox.fourBlocks(indices: even &+ 1, item: item, key: key)
    nextBlock &+= 8
    return (
      interleaved(a.0, b.0), interleaved(a.1, b.1), interleaved(a.2, b.2), interleaved(a.3, b.3)
    )
  }
}

private typealias PhiloxLanes = (SIMD8<UInt32>, SIMD8<UInt32>, SIMD8<UInt32>, SIMD8<UInt32>)

extension Philox {
  /// `block(counter:key:)` for four counters at once; each 64-bit lane holds one word.
  @inline(__always)
  fileprivate static func fourBlocks(indices: SIMD4<UInt64>, item: UInt64, key: UInt64) -> (
    SIMD4<UInt64>, SIMD4<UInt64>, SIMD4<UInt64>, SIMD4<UInt64>
  ) {
    let low = SIMD4<UInt64>(repeating: 0xFFFF_FFFF)
    var c0 = indices & low
    var c1 = indices &>> 32
    var c2 = SIMD4(repeating: item & 0xFFFF_FFFF)
    var c3 = SIMD4(repeating: item >> 32)
    var key0 = UInt32(truncatingIfNeeded: key)
    var key1 = UInt32(truncatingIfNeeded: key >> 32)
    for _ in 0..<roundCount {
      let product0 = c0 &* SIMD4(repeating: multiplier0)
      let product1 = c2 &* SIMD4(repeating: multiplier1)
      c0 = (product1 &>> 32) ^ c1 ^ SIMD4(repeating: UInt64(key0))
      c1 = product1 & low
      c2 = (product0 &>> 32) ^ c3 ^ SIMD4(repeating: UInt64(key1))
      c3 = product0 & low
      key0 &+= keyStep0
      key1 &+= keyStep1
    }
    return (c0, c1, c2, c3)
  }
}

@inline(__always)
private func interleaved(_ even: SIMD4<UInt64>, _ odd: SIMD4<UInt64>) -> SIMD8<UInt32> {
  unsafeBitCast(even | (odd &<< 32), to: SIMD8<UInt32>.self)
}

/// sqrt(-2 ln u), where u = (word / 256 + 1) 2^-24 is in 2^-24...1.
///
/// ln(2^e m) = e ln 2 + ln(1 + f) with m = 1 + f in sqrt(1/2)..<sqrt(2), a polynomial in f, as in the
/// Cephes library.
@inline(__always)
private func normalRadius(_ words: SIMD8<UInt32>) -> SIMD8<Float> {
  let u = floats(words &>> 20) * 0x1p-12 + floats(((words &>> 8) & 0xFFF) &+ 1) * 0x1p-24
  // The exponent is that of u / sqrt(1/2), whose bits are 0x3F3504F3.
  let bits = unsafeBitCast(u, to: SIMD8<UInt32>.self) &- 0x3F35_04F3
  let exponent = floats(unsafeBitCast(bits, to: SIMD8<Int32>.self) &>> 23)
  let f = unsafeBitCast((bits & 0x007F_FFFF) &+ 0x3F35_04F3, to: SIMD8<Float>.self) - 1
  var p = f * 7.037_683_629_2e-2 - 1.151_461_031_0e-1
  p = p * f + 1.167_699_874_0e-1
  p = p * f - 1.242_014_084_6e-1
  p = p * f + 1.424_932_278_7e-1
  p = p * f - 1.666_805_766_5e-1
  p = p * f + 2.000_071_476_5e-1
  p = p * f - 2.499_999_399_3e-1
  p = p * f + 3.333_333_117_4e-1
  let square = f * f
  // ln 2 in two parts, of which the first has few bits and so an exact product.
  let remainder = f * square * p - exponent * 2.121_944_40e-4 - square * 0.5
  let logarithm = f + remainder + exponent * 0.693_359_375
  return squareRoot(logarithm * -2)
}

/// sqrt(x) = x / sqrt(x), for x in 0..<1000: `SIMD8.squareRoot` goes lane by lane.
@inline(__always)
private func squareRoot(_ x: SIMD8<Float>) -> SIMD8<Float> {
  let bits = unsafeBitCast(x, to: SIMD8<UInt32>.self)
  var inverse = unsafeBitCast(0x5F37_59DF &- (bits &>> 1), to: SIMD8<Float>.self)
  let half = x * 0.5
  for _ in 0..<3 { inverse *= 1.5 - half * inverse * inverse }  // Newton's method
  return x * inverse
}

/// Cosine and sine of 2 pi word / 2^32, to 24 bits of the angle.
@inline(__always)
private func cosineAndSine(ofTurn words: SIMD8<UInt32>) -> (SIMD8<Float>, SIMD8<Float>) {
  // The nearest quarter turn, and what is left of the angle: at most an eighth of a turn.
  let quarter = (words &+ 0x2000_0000) &>> 30
  let rest = unsafeBitCast(words &- (quarter &<< 30), to: SIMD8<Int32>.self) &>> 8
  let x = floats(rest) * (Float.pi * 0x1p-23)
  let square = x * x
  var p = square * -1.951_529_589_1e-4 + 8.332_160_873_6e-3
  p = p * square - 1.666_665_461_1e-1
  let sine = p * square * x + x
  var q = square * 2.443_315_711_8e-5 - 1.388_731_625_5e-3
  q = q * square + 4.166_664_568_3e-2
  let cosine = q * square * square - square * 0.5 + 1

  // Each quarter turn takes (cosine, sine) to (-sine, cosine).
  let isOdd = (quarter & 1) .== 1
  let cosineSign = ((quarter &+ 1) & 2) &<< 30
  let sineSign = (quarter & 2) &<< 30
  return (
    flipped(cosine.replacing(with: sine, where: isOdd), cosineSign),
    flipped(sine.replacing(with: cosine, where: isOdd), sineSign)
  )
}

/// `values` with their sign bits inverted where `signBits` says so.
@inline(__always)
private func flipped(_ values: SIMD8<Float>, _ signBits: SIMD8<UInt32>) -> SIMD8<Float> {
  unsafeBitCast(unsafeBitCast(values, to: SIMD8<UInt32>.self) ^ signBits, to: SIMD8<Float>.self)
}

/// The integers, each in -2^22..<2^22, as floats; the standard conversion goes lane by lane.
@inline(__always)
private func floats(_ integers: SIMD8<Int32>) -> SIMD8<Float> {
  // 0x4B400000 is 1.5 * 2^23, whose last bit counts ones.
  unsafeBitCast(integers &+ 0x4B40_0000, to: SIMD8<Float>.self) - 12_582_912
}

@inline(__always)
private func floats(_ integers: SIMD8<UInt32>) -> SIMD8<Float> {
  floats(unsafeBitCast(integers, to: SIMD8<Int32>.self))
}
