/// The inverse cosine transform of an 8 x 8 block, in the integer arithmetic of libjpeg's "islow".
///
/// The method is Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms with 11
/// multiplications", ICASSP 1989, with factors of 13 fractional bits. Columns first, with 2 bits
/// kept, then rows. Eight columns (or rows) are the lanes of a vector.
enum InverseDCT {
  private typealias Vector = SIMD8<Int32>

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
    @inline(__always) func row(_ index: Int) -> Vector {
      widened(load(coefficients, index) &* load(steps, index))
    }
    let zero = Vector(repeating: 0)
    var rows = Rows(
      row(0), row(1), row(2), row(3), hasLowerRows ? row(4) : zero, hasLowerRows ? row(5) : zero,
      hasLowerRows ? row(6) : zero, hasLowerRows ? row(7) : zero)
    rows.transform(shift: 11, offset: 1 << 10)
    var columns = rows.narrowed().transposed().widened()
    // Half of the last shift's unit, and 128: samples are stored without a sign.
    columns.transform(shift: 18, offset: 1 << 17 + 128 << 18)
    columns.narrowed().transposed().store(samples, stride: stride)
  }

  @inline(__always)
  private static func load(_ values: UnsafePointer<Int16>, _ row: Int) -> SIMD8<Int16> {
    UnsafeRawPointer(values + 8 &* row).loadUnaligned(as: SIMD8<Int16>.self)
  }

  @inline(__always)
  private static func isZero(_ row: SIMD8<Int16>) -> Bool {
    let words = unsafeBitCast(row, to: SIMD2<UInt64>.self)
    return words[0] | words[1] == 0
  }

  @inline(__always)
  private static func widened(_ row: SIMD8<Int16>) -> Vector { Vector(truncatingIfNeeded: row) }

  // MARK: - Eight vectors

  private struct Rows {
    var r0, r1, r2, r3, r4, r5, r6, r7: Vector

    @inline(__always)
    init(
      _ r0: Vector, _ r1: Vector, _ r2: Vector, _ r3: Vector, _ r4: Vector, _ r5: Vector,
      _ r6: Vector, _ r7: Vector
    ) {
      (self.r0, self.r1, self.r2, self.r3) = (r0, r1, r2, r3)
      (self.r4, self.r5, self.r6, self.r7) = (r4, r5, r6, r7)
    }

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

    /// To 16 bits: coefficients of a picture leave room in them between the passes.
    @inline(__always)
    func narrowed() -> ShortRows {
      ShortRows(
        SIMD8(truncatingIfNeeded: r0), SIMD8(truncatingIfNeeded: r1),
        SIMD8(truncatingIfNeeded: r2), SIMD8(truncatingIfNeeded: r3),
        SIMD8(truncatingIfNeeded: r4), SIMD8(truncatingIfNeeded: r5),
        SIMD8(truncatingIfNeeded: r6), SIMD8(truncatingIfNeeded: r7))
    }
  }

  private struct ShortRows {
    var r0, r1, r2, r3, r4, r5, r6, r7: SIMD8<Int16>

    @inline(__always)
    init(
      _ r0: SIMD8<Int16>, _ r1: SIMD8<Int16>, _ r2: SIMD8<Int16>, _ r3: SIMD8<Int16>,
      _ r4: SIMD8<Int16>, _ r5: SIMD8<Int16>, _ r6: SIMD8<Int16>, _ r7: SIMD8<Int16>
    ) {
      (self.r0, self.r1, self.r2, self.r3) = (r0, r1, r2, r3)
      (self.r4, self.r5, self.r6, self.r7) = (r4, r5, r6, r7)
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
      _ upper: SIMD8<Int16>, _ lower: SIMD8<Int16>
    ) -> (SIMD8<Int16>, SIMD8<Int16>) {
      let a = unsafeBitCast(upper, to: SIMD4<UInt32>.self)
      let b = unsafeBitCast(lower, to: SIMD4<UInt32>.self)
      let even = SIMD4<UInt32>(repeating: 0xffff)
      let bits = SIMD4<UInt32>(repeating: 16)
      return (
        unsafeBitCast((a & even) | (b &<< bits), to: SIMD8<Int16>.self),
        unsafeBitCast((a &>> bits) | (b & ~even), to: SIMD8<Int16>.self)
      )
    }

    /// Swaps the odd pairs of lanes of `upper` with the even pairs of `lower`.
    @inline(__always)
    private static func swapped32(
      _ upper: SIMD8<Int16>, _ lower: SIMD8<Int16>
    ) -> (SIMD8<Int16>, SIMD8<Int16>) {
      let a = unsafeBitCast(upper, to: SIMD2<UInt64>.self)
      let b = unsafeBitCast(lower, to: SIMD2<UInt64>.self)
      let even = SIMD2<UInt64>(repeating: 0xffff_ffff)
      let bits = SIMD2<UInt64>(repeating: 32)
      return (
        unsafeBitCast((a & even) | (b &<< bits), to: SIMD8<Int16>.self),
        unsafeBitCast((a &>> bits) | (b & ~even), to: SIMD8<Int16>.self)
      )
    }

    /// Swaps the high half of `upper` with the low half of `lower`.
    @inline(__always)
    private static func swapped64(
      _ upper: SIMD8<Int16>, _ lower: SIMD8<Int16>
    ) -> (SIMD8<Int16>, SIMD8<Int16>) {
      (
        SIMD8(lowHalf: upper.lowHalf, highHalf: lower.lowHalf),
        SIMD8(lowHalf: upper.highHalf, highHalf: lower.highHalf)
      )
    }

    @inline(__always)
    func widened() -> Rows {
      Rows(
        InverseDCT.widened(r0), InverseDCT.widened(r1), InverseDCT.widened(r2),
        InverseDCT.widened(r3), InverseDCT.widened(r4), InverseDCT.widened(r5),
        InverseDCT.widened(r6), InverseDCT.widened(r7))
    }

    @inline(__always)
    func store(_ samples: UnsafeMutablePointer<UInt8>, stride: Int) {
      Self.store(r0, samples)
      Self.store(r1, samples + stride)
      Self.store(r2, samples + 2 &* stride)
      Self.store(r3, samples + 3 &* stride)
      Self.store(r4, samples + 4 &* stride)
      Self.store(r5, samples + 5 &* stride)
      Self.store(r6, samples + 6 &* stride)
      Self.store(r7, samples + 7 &* stride)
    }

    @inline(__always)
    private static func store(_ row: SIMD8<Int16>, _ samples: UnsafeMutablePointer<UInt8>) {
      let low = SIMD8<Int16>(repeating: 0)
      let high = SIMD8<Int16>(repeating: 255)
      let clamped = row.replacing(with: low, where: row .< low)
      let bytes = SIMD8<UInt8>(
        truncatingIfNeeded: clamped.replacing(with: high, where: clamped .> high))
      UnsafeMutableRawPointer(samples).storeBytes(of: bytes, as: SIMD8<UInt8>.self)
    }
  }
}
