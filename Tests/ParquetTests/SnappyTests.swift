import Parquet
import Testing

@Suite struct SnappyTests {
  private func unpacked(_ block: [UInt8], _ count: Int) throws -> [UInt8] {
    try Snappy.unpacked(block, count: count)
  }

  @Test("literals and copies of all forms")
  func elements() throws {
    // A literal "abcd", a copy of 4 from 2 back (overlapping), one of 5 from 4 back.
    #expect(
      try unpacked([8, 3 << 2, 97, 98, 99, 100, 0x01, 2], 8) == Array("abcdcdcd".utf8))
    #expect(
      try unpacked([9, 3 << 2, 97, 98, 99, 100, 4 << 2 | 2, 4, 0], 9) == Array("abcdabcda".utf8))
    #expect(
      try unpacked([9, 3 << 2, 97, 98, 99, 100, 4 << 2 | 3, 4, 0, 0, 0], 9)
        == Array("abcdabcda".utf8))
    // Lengths of literals in one to four further bytes.
    for extra in 1...4 {
      let length = [UInt8(2)] + [UInt8](repeating: 0, count: extra - 1)
      #expect(try unpacked([3, UInt8(59 + extra) << 2] + length + [7, 8, 9], 3) == [7, 8, 9])
    }
    #expect(try unpacked([0], 0) == [])
  }

  @Test(
    "damaged blocks are refused",
    arguments: [
      ([], 1),  // no size
      ([0xff, 0xff, 0xff, 0xff, 0xff], 5),  // a size without an end
      ([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 97], 1),  // a size of 4 GiB
      ([4, 3 << 2, 97, 98], 4),  // a literal past the input
      ([3, 3 << 2, 97, 98, 99, 100], 3),  // a literal past the output
      ([5, 3 << 2, 97, 98, 99, 100], 5),  // less than declared
      ([8, 3 << 2, 97, 98, 99, 100, 0x01, 0], 8),  // offset 0
      ([8, 3 << 2, 97, 98, 99, 100, 0x01, 5], 8),  // an offset before the start
      ([6, 3 << 2, 97, 98, 99, 100, 0x01, 2], 6),  // a copy past the output
      ([8, 3 << 2, 97, 98, 99, 100, 0x02, 2], 8),  // a copy without its offset
      ([8, 3 << 2, 97, 98, 99, 100, 0x03, 2, 0, 0], 8),
      ([1, 63 << 2, 0xff, 0xff, 0xff, 0xff, 97], 1),  // a literal of 4 GiB
      ([0, 0, 97], 0),  // elements in an empty block
    ] as [([UInt8], Int)])
  func damagedBlocks(block: [UInt8], count: Int) {
    #expect(throws: (any Error).self) { try unpacked(block, count) }
  }

  @Test("a size that no input can reach is refused before memory is asked for")
  func expansionLimit() {
    #expect(throws: (any Error).self) { try unpacked([0x80, 0x80, 0x80, 0x80, 2, 0], 1 << 29) }
  }

  @Test("what is packed unpacks to the same", arguments: [0, 1, 5, 64, 1000, 65_536, 200_001])
  func roundTrip(count: Int) throws {
    var state: UInt64 = 7
    for period in [1, 3, 17, 300, 70_000] {
      var bytes: [UInt8] = []
      for index in 0..<count {
        if index < period || index % 97 == 0 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          bytes.append(UInt8(state >> 56))
        } else {
          bytes.append(bytes[index - period])
        }
      }
      let packed = bytes.withUnsafeBytes(Snappy.packed)
      #expect(try unpacked(packed, count) == bytes)
      if period < 1000, count >= 1000 { #expect(packed.count < count * 2 / 3) }
    }
  }
}
