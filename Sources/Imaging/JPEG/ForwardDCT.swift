/// The cosine transform of an 8 x 8 block, in the integer arithmetic of libjpeg's "islow".
///
/// Rows first, with 2 bits kept, then columns. The coefficients are 8 times the orthonormal ones.
/// Source: as ``InverseDCT``.
enum ForwardDCT {
  /// Transforms 64 samples, less 128, in place.
  static func transform(_ block: inout [Int32]) {
    for row in 0..<8 {
      pass(&block, first: 8 * row, step: 1, evenShift: -2, shift: 11)
    }
    for column in 0..<8 {
      pass(&block, first: column, step: 8, evenShift: 2, shift: 15)
    }
  }

  /// Transforms one row or column.
  ///
  /// `evenShift` and `shift` are the fractional bits to remove from the sums and
  /// from the products.
  private static func pass(
    _ block: inout [Int32], first: Int, step: Int, evenShift: Int32, shift: Int32
  ) {
    func sum(_ a: Int, _ b: Int) -> Int32 { block[first + a * step] + block[first + b * step] }
    func difference(_ a: Int, _ b: Int) -> Int32 {
      block[first + a * step] - block[first + b * step]
    }
    func descaled(_ value: Int32) -> Int32 { (value + 1 << (shift - 1)) >> shift }

    let (s0, s1, s2, s3) = (sum(0, 7), sum(1, 6), sum(2, 5), sum(3, 4))
    let (d0, d1, d2, d3) = (difference(0, 7), difference(1, 6), difference(2, 5), difference(3, 4))

    // Even part.
    let rounding: Int32 = evenShift > 0 ? 1 << (evenShift - 1) : 0
    let low = (s1 - s2 + s0 - s3) * 4_433  // 0.541196100
    let even0 = (s0 + s3 + s1 + s2 + rounding) >> evenShift
    let even4 = (s0 + s3 - s1 - s2 + rounding) >> evenShift
    let even2 = descaled(low + (s0 - s3) * 6_270)  // 0.765366865
    let even6 = descaled(low - (s1 - s2) * 15_137)  // 1.847759065

    // Odd part.
    let pair = (d3 + d1 + d2 + d0) * 9_633  // 1.175875602
    let z1 = (d3 + d0) * -7_373  // -0.899976223
    let z2 = (d2 + d1) * -20_995  // -2.562915447
    let z3 = (d3 + d1) * -16_069 + pair  // -1.961570560
    let z4 = (d2 + d0) * -3_196 + pair  // -0.390180644
    let odd7 = descaled(d3 * 2_446 + z1 + z3)  // 0.298631336
    let odd5 = descaled(d2 * 16_819 + z2 + z4)  // 2.053119869
    let odd3 = descaled(d1 * 25_172 + z2 + z3)  // 3.072711026
    let odd1 = descaled(d0 * 12_299 + z1 + z4)  // 1.501321110

    let results = [even0, odd1, even2, odd3, even4, odd5, even6, odd7]
    for (index, result) in results.enumerated() { block[first + index * step] = result }
  }
}
