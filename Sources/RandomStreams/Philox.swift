/// The counter-based generator Philox 4x32 with ten rounds: 128 bits of counter and a 64-bit key in,
/// 128 random bits out.
///
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3.
package struct Philox {
  package typealias Block = (UInt32, UInt32, UInt32, UInt32)

  static let multiplier0: UInt64 = 0xD251_1F53
  static let multiplier1: UInt64 = 0xCD9E_8D57
  static let keyStep0: UInt32 = 0x9E37_79B9
  static let keyStep1: UInt32 = 0xBB67_AE85
  static let roundCount = 10

  /// The four words of the block that `counter` and `key` name.
  package static func block(counter: Block, key: UInt64) -> Block {
    var (c0, c1, c2, c3) = counter
    var key0 = UInt32(truncatingIfNeeded: key)
    var key1 = UInt32(truncatingIfNeeded: key >> 32)
    for _ in 0..<roundCount {
      let product0 = multiplier0 &* UInt64(c0)
      let product1 = multiplier1 &* UInt64(c2)
      c0 = UInt32(truncatingIfNeeded: product1 >> 32) ^ c1 ^ key0
      c1 = UInt32(truncatingIfNeeded: product1)
      c2 = UInt32(truncatingIfNeeded: product0 >> 32) ^ c3 ^ key1
      c3 = UInt32(truncatingIfNeeded: product0)
      key0 &+= keyStep0
      key1 &+= keyStep1
    }
    return (c0, c1, c2, c3)
  }
}
