import Foundation
import TensorCore
import Testing

@Suite("Vector exponential")
struct AttentionExponentialTests {
  @Test("the error stays below 2e-7 over the whole normal range")
  func normalRange() {
    var worst = 0.0
    var x: Float = -87.33
    while x < 88.72 {
      let result = exponential(SIMD8(repeating: x))[3]
      let expected = Foundation.exp(Double(x))
      worst = max(worst, abs(Double(result) - expected) / expected)
      x += 0.000_371
    }
    for step in 0..<1_000_000 {
      let x = Float(step - 500_000) * 2e-6
      let result = exponential(SIMD8(repeating: x))[0]
      let expected = Foundation.exp(Double(x))
      worst = max(worst, abs(Double(result) - expected) / expected)
    }
    #expect(worst <= 2e-7, "worst relative error \(worst)")
  }

  @Test("the short one's error stays below 3e-7, and it saturates")
  func powers() {
    var worst = 0.0
    var x: Float = -126
    while x < 126 {
      let expected = Foundation.exp2(Double(x))
      worst = max(worst, abs(Double(powerOfTwo(SIMD8(repeating: x))[3]) - expected) / expected)
      x += 0.000_371
    }
    #expect(worst <= 3e-7, "worst relative error \(worst)")
    let limits = powerOfTwo(SIMD8<Float>(0, -0.0, -200, -.infinity, 200, .infinity, 1, -1))
    let (least, largest) = (Float(sign: .plus, exponent: -126, significand: 1), Float(8.507_059e37))
    #expect(limits == SIMD8<Float>(1, 1, least, least, largest, largest, 2, 0.5))
    #expect(powerOfTwo(SIMD8(repeating: .nan))[0].isNaN)
  }

  @Test("zero gives one, extremes saturate, NaN stays NaN")
  func extremes() {
    let x = SIMD8<Float>(0, -0.0, -88, -.infinity, 89, .infinity, -1e30, 1e30)
    let expected = SIMD8<Float>(1, 1, 0, 0, .infinity, .infinity, 0, .infinity)
    #expect(exponential(x) == expected)
    #expect(exponential(SIMD8(repeating: 88.722_83))[0].isFinite)
    #expect(exponential(SIMD8(repeating: -87.336_54))[0] >= .leastNormalMagnitude)
    #expect(exponential(SIMD8(repeating: .nan))[0].isNaN)
    #expect(exponential(SIMD8(repeating: -Float(bitPattern: 0x7f80_0001)))[0].isNaN)
  }
}
