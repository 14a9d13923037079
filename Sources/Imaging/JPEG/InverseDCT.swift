/// The inverse cosine transform of an 8 x 8 block, in the integer arithmetic of libjpeg's "islow".
///
/// The method is Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms with 11
/// multiplications", ICASSP 1989, with factors of 13 fractional bits. Columns first, with 2 bits
/// kept, then rows. Eight columns (or rows) are the lanes of a vector.
///
/// Between the passes 16 bits suffice for an image's coefficients. A vector of them is widened to its
/// even and its odd lanes, which shifts do; conversions of whole vectors would go lane by lane.
enum InverseDCT {
  /// Every other lane of a row, widened.
  private typealias Vector = SIMD4<Int32>
  private typealias ShortVector = SIMD8<Int16>

  /// Writes the samples of one block.
  ///
  /// - Parameters:
  ///   - coefficients: 64 quantized coefficients in natural order
  ///   - steps: their 64 quantization steps
  ///   - samples: the block's first sample; rows are `stride` apart
  @inline(__always)
  static func transform(
    _ coefficients: UnsafePointer<Int16>, steps: UnsafePointer<Int16>,
    into samples: UnsafeMutablePointer<UInt8>, stride: Int
  ) {
    let upper = load(coefficients, 1) | load(coefficients, 2) | load(coefficients, 3)
    let lower =
      load(coefficients, 4) | load(coefficients, 5) | load(coefficients, 6) | load(coefficients, 7)
    var firstRow = load(coefficients, 0)
    firstRow[0] = 0
    if isZero(lower) {
      if isZero(upper | firstRow) {
        fill(samples, stride: stride, mean: coefficients[0] &* steps[0])
      } else {
        transformBlock(coefficients, steps, hasLowerRows: false, into: samples, stride: stride)
      }
    } else {
      transformBlock(coefficients, steps, hasLowerRows: true, into: samples, stride: stride)
    }
  }

  /// A block with no coefficient but the mean.
  @inline(__always)
  private static func fill(_ samples: UnsafeMutablePointer<UInt8>, stride: Int, mean: Int16) {
    let level = (Int(mean) << 2 + 16) >> 5 + 128
    let row = SIMD8<UInt8>(repeating: UInt8(truncatingIfNeeded: max(0, min(255, level))))
    for y in 0..<8 {
      UnsafeMutableRawPointer(samples + y &* stride).storeBytes(of: row, as: SIMD8<UInt8>.self)
    }
  }

  @inline(__always)
  private static func transformBlock(
    _ coefficients: UnsafePointer<Int16>, _ steps: UnsafePointer<Int16>, hasLowerRows: Bool,
    into samples: UnsafeMutablePointer<UInt8>, stride: Int
  ) {
    @inline(__always) func row(_ index: Int) -> ShortVector {
      load(coefficients, index) &* load(steps, index)
    }
    let zero = ShortVector(repeating: 0)
    let rows = ShortRows(
      row(0), row(1), row(2), row(3), hasLowerRows ? row(4) : zero, hasLowerRows ? row(5) : zero,
      hasLowerRows ? row(6) : zero, hasLowerRows ? row(7) : zero)
    let columns = rows.transformed(shift: 11, offset: 1 << 10).transposed()
    // Half of the last shift's unit, and 128: samples are stored without a sign.
    columns.transformed(shift: 18, offset: 1 << 17 + 128 << 18)
      .storeColumns(samples, stride: stride)
  }

  @inline(__always)
  private static func load(_ values: UnsafePointer<Int16>, _ row: Int) -> ShortVector {
    UnsafeRawPointer(values + 8 &* row).loadUnaligned(as: ShortVector.self)
  }

  @inline(__always)
  private static func isZero(_ row: ShortVector) -> Bool {
    let words = unsafeBitCast(row, to: SIMD2<UInt64>.self)
    return words[0] | words[1] == 0
  }

  // MARK: - Eight vectors

  /// Half of the columns of a block, widened.
  private struct Rows {
    var r0, r1, r2, r3, r4, r5, r6, r7: Vector

    /// The transform of each lane; `(sum + offset) >> shift` removes the fractional bits.
    @inline(__always)
    mutating func transform(shift: Int32, offset: Int32) {
      // Even part.
      let shared = (r2 &+ r6) &* 4_433  // 0.541196100
      let even2 = shared &- r6 &* 15_137  // 1.847759065
      let even3 = shared &+ r2 &* 6_270  // 0.765366865
      let even0 = ((r0 &+ r4) &<< 13) &+ Vector(repeating: offset)
      let even1 = ((r0 &- r4) &<< 13) &+ Vector(repeating: offset)
      let sum0 = even0 &+ even3
      let sum3 = even0 &- even3
      let sum1 = even1 &+ even2
      let sum2 = even1 &- even2

      // Odd part.
      let pair = (r7 &+ r3 &+ r5 &+ r1) &* 9_633  // 1.175875602
      let z1 = (r7 &+ r1) &* -7_373  // -0.899976223
      let z2 = (r5 &+ r3) &* -20_995  // -2.562915447
      let z3 = (r7 &+ r3) &* -16_069 &+ pair  // -1.961570560
      let z4 = (r5 &+ r1) &* -3_196 &+ pair  // -0.390180644
      let odd0 = r7 &* 2_446 &+ z1 &+ z3  // 0.298631336
      let odd1 = r5 &* 16_819 &+ z2 &+ z4  // 2.053119869
      let odd2 = r3 &* 25_172 &+ z2 &+ z3  // 3.072711026
      let odd3 = r1 &* 12_299 &+ z1 &+ z4  // 1.501321110

      let bits = Vector(repeating: shift)
      r0 = (sum0 &+ odd3) &>> bits
      r7 = (sum0 &- odd3) &>> bits
      r1 = (sum1 &+ odd2) &>> bits
      r6 = (sum1 &- odd2) &>> bits
      r2 = (sum2 &+ odd1) &>> bits
      r5 = (sum2 &- odd1) &>> bits
      r3 = (sum3 &+ odd0) &>> bits
      r4 = (sum3 &- odd0) &>> bits
    }
  }

  private struct ShortRows {
    var r0, r1, r2, r3, r4, r5, r6, r7: ShortVector

    @inline(__always)
    init(
      _ r0: ShortVector, _ r1: ShortVector, _ r2: ShortVector, _ r3: ShortVector,
      _ r4: ShortVector, _ r5: ShortVector, _ r6: ShortVector, _ r7: ShortVector
    ) {
      (self.r0, self.r1, self.r2, self.r3) = (r0, r1, r2, r3)
      (self.r4, self.r5, self.r6, self.r7) = (r4, r5, r6, r7)
    }

    /// The transform of each lane.
    @inline(__always)
    func transformed(shift: Int32, offset: Int32) -> ShortRows {
      var even = Rows(
        r0: Self.even(r0), r1: Self.even(r1), r2: Self.even(r2), r3: Self.even(r3),
        r4: Self.even(r4), r5: Self.even(r5), r6: Self.even(r6), r7: Self.even(r7))
      even.transform(shift: shift, offset: offset)
      var odd = Rows(
        r0: Self.odd(r0), r1: Self.odd(r1), r2: Self.odd(r2), r3: Self.odd(r3), r4: Self.odd(r4),
        r5: Self.odd(r5), r6: Self.odd(r6), r7: Self.odd(r7))
      odd.transform(shift: shift, offset: offset)
      return ShortRows(
        Self.joined(even.r0, odd.r0), Self.joined(even.r1, odd.r1), Self.joined(even.r2, odd.r2),
        Self.joined(even.r3, odd.r3), Self.joined(even.r4, odd.r4), Self.joined(even.r5, odd.r5),
        Self.joined(even.r6, odd.r6), Self.joined(even.r7, odd.r7))
    }

    @inline(__always)
    private static func even(_ row: ShortVector) -> Vector {
      let bits = Vector(repeating: 16)
      return (unsafeBitCast(row, to: Vector.self) &<< bits) &>> bits
    }

    @inline(__always)
    private static func odd(_ row: ShortVector) -> Vector {
      unsafeBitCast(row, to: Vector.self) &>> Vector(repeating: 16)
    }

    /// The low halves of the lanes.
    @inline(__always)
    private static func joined(_ even: Vector, _ odd: Vector) -> ShortVector {
      unsafeBitCast(
        (even & Vector(repeating: 0xffff)) | (odd &<< Vector(repeating: 16)), to: ShortVector.self)
    }

    /// Rows become columns: swaps the off-diagonal quarters of the 2 x 2, then of the 4 x 4 squares,
    /// then of the whole.
    @inline(__always)
    func transposed() -> ShortRows {
      let (a0, a1) = Self.swapped16(r0, r1)
      let (a2, a3) = Self.swapped16(r2, r3)
      let (a4, a5) = Self.swapped16(r4, r5)
      let (a6, a7) = Self.swapped16(r6, r7)
      let (b0, b2) = Self.swapped32(a0, a2)
      let (b1, b3) = Self.swapped32(a1, a3)
      let (b4, b6) = Self.swapped32(a4, a6)
      let (b5, b7) = Self.swapped32(a5, a7)
      let (c0, c4) = Self.swapped64(b0, b4)
      let (c1, c5) = Self.swapped64(b1, b5)
      let (c2, c6) = Self.swapped64(b2, b6)
      let (c3, c7) = Self.swapped64(b3, b7)
      return ShortRows(c0, c1, c2, c3, c4, c5, c6, c7)
    }

    /// Swaps the odd lanes of `upper` with the even lanes of `lower`.
    @inline(__always)
    private static func swapped16(
      _ upper: ShortVector, _ lower: ShortVector
    ) -> (ShortVector, ShortVector) {
      let a = unsafeBitCast(upper, to: SIMD4<UInt32>.self)
      let b = unsafeBitCast(lower, to: SIMD4<UInt32>.self)
      let even = SIMD4<UInt32>(repeating: 0xffff)
      let bits = SIMD4<UInt32>(repeating: 16)
      return (
        unsafeBitCast((a & even) | (b &<< bits), to: ShortVector.self),
        unsafeBitCast((a &>> bits) | (b & ~even), to: ShortVector.self)
      )
    }

    /// Swaps the odd pairs of lanes of `upper` with the even pairs of `lower`.
    @inline(__always)
    private static func swapped32(
      _ upper: ShortVector, _ lower: ShortVector
    ) -> (ShortVector, ShortVector) {
      let a = unsafeBitCast(upper, to: SIMD2<UInt64>.self)
      let b = unsafeBitCast(lower, to: SIMD2<UInt64>.self)
      let even = SIMD2<UInt64>(repeating: 0xffff_ffff)
      let bits = SIMD2<UInt64>(repeating: 32)
      return (
        unsafeBitCast((a & even) | (b &<< bits), to: ShortVector.self),
        unsafeBitCast((a &>> bits) | (b & ~even), to: ShortVector.self)
      )
    }

    /// Swaps the high half of `upper` with the low half of `lower`.
    @inline(__always)
    private static func swapped64(
      _ upper: ShortVector, _ lower: ShortVector
    ) -> (ShortVector, ShortVector) {
      (
        SIMD8(lowHalf: upper.lowHalf, highHalf: lower.lowHalf),
        SIMD8(lowHalf: upper.highHalf, highHalf: lower.highHalf)
      )
    }

    /// Stores the columns of a block, each limited to 0...255, as rows of bytes.
    @inline(__always)
    func storeColumns(_ samples: UnsafeMutablePointer<UInt8>, stride: Int) {
      // Two columns to a vector, then four, then all eight to each row.
      let (even03, odd03) = Self.swapped16(Self.bytes(r0, r1), Self.bytes(r2, r3))
      let (even47, odd47) = Self.swapped16(Self.bytes(r4, r5), Self.bytes(r6, r7))
      let (rows04, rows26) = Self.swapped32(even03, even47)
      let (rows15, rows37) = Self.swapped32(odd03, odd47)
      Self.store(rows04, samples, samples + 4 &* stride)
      Self.store(rows15, samples + stride, samples + 5 &* stride)
      Self.store(rows26, samples + 2 &* stride, samples + 6 &* stride)
      Self.store(rows37, samples + 3 &* stride, samples + 7 &* stride)
    }

    /// Lanes of two bytes: `first` and `second`, limited to 0...255.
    @inline(__always)
    private static func bytes(_ first: ShortVector, _ second: ShortVector) -> ShortVector {
      limited(first) | (limited(second) &<< ShortVector(repeating: 8))
    }

    @inline(__always)
    private static func limited(_ values: ShortVector) -> ShortVector {
      let low = ShortVector(repeating: 0)
      let high = ShortVector(repeating: 255)
      let positive = values.replacing(with: low, where: values .< low)
      return positive.replacing(with: high, where: positive .> high)
    }

    @inline(__always)
    private static func store(
      _ rows: ShortVector, _ upper: UnsafeMutablePointer<UInt8>,
      _ lower: UnsafeMutablePointer<UInt8>
    ) {
      UnsafeMutableRawPointer(upper).storeBytes(of: rows.lowHalf, as: SIMD4<Int16>.self)
      UnsafeMutableRawPointer(lower).storeBytes(of: rows.highHalf, as: SIMD4<Int16>.self)
    }
  }
}
