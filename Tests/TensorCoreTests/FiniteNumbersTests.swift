import HostResources
import TensorCore
import Testing

@Suite struct FiniteNumbersTests {
  @Test(
    "the first number that is not finite is found, wherever it is",
    arguments: [0, 1, 7, 65_535, 65_536, 199_999])
  func first(_ position: Int) {
    for value in [Float.nan, .signalingNaN, .infinity, -.infinity] {
      var values = [Float](repeating: .greatestFiniteMagnitude, count: 200_000)
      values[100] = -.leastNonzeroMagnitude
      #expect(firstNonFinite(values, count: values.count) == nil)
      values[199_999] = .nan
      values[position] = value
      #expect(firstNonFinite(values, count: values.count) == position)
    }
    #expect(firstNonFinite([Float](), count: 0) == nil)
  }

  @Test("the same in half precision")
  func halves() {
    for (format, finite, infinite) in [
      (HalfFormat.binary16, UInt16(0xFBFF), UInt16(0xFC00)), (.bfloat16, 0xFF7F, 0x7F80),
    ] {
      var values = [UInt16](repeating: finite, count: 70_000)
      #expect(firstNonFinite(values, count: values.count, format: format) == nil)
      for position in [69_999, 65_536, 3] {
        values[position] = infinite | UInt16(position & 1)
        #expect(firstNonFinite(values, count: values.count, format: format) == position)
      }
    }
  }

  @Test("numbers become bytes, limited to their range; none if one is not finite")
  func bytes() {
    func bytes(_ values: [Float], _ rounding: FloatingPointRoundingRule) -> [UInt8]? {
      values.withUnsafeBufferPointer { quantized($0, rounding: rounding) }
    }
    #expect(
      bytes([-.greatestFiniteMagnitude, 0, 0.5, 1, 1e30], .toNearestOrEven)
        == [0, 0, 128, 255, 255])
    #expect(bytes([0.5], .toNearestOrAwayFromZero) == [128])
    let signed: [Float] = [-1, -0.5, 0, 1, 2]
    #expect(
      signed.withUnsafeBufferPointer {
        quantized($0, scale: 0.5, shift: 0.5, rounding: .toNearestOrEven)
      } == [0, 64, 128, 255, 255])
    // Multiplied and shifted at once or one after the other: the same bytes.
    let steps = (0...(1 << 16)).map { Float($0) / Float(1 << 15) - 1 }
    #expect(
      steps.withUnsafeBufferPointer {
        quantized($0, scale: 0.5, shift: 0.5, rounding: .toNearestOrEven)
      } == steps.map { UInt8((min(max($0 / 2 + 0.5, 0), 1) * 255).rounded(.toNearestOrEven)) })
    let unit = steps.filter { $0 >= 0 }
    #expect(
      bytes(unit, .toNearestOrAwayFromZero) == unit.map { UInt8(($0 * 255).rounded()) })
    for value in [Float.nan, .infinity, -.infinity] {
      #expect(bytes([0.1, value], .toNearestOrEven) == nil)
    }
    #expect(bytes([], .toNearestOrEven) == [])
  }
}
