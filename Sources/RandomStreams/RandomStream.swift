/// The random numbers of one item of work, named by seed, purpose and item.
///
/// A stream's numbers depend on its name alone: not on threads, on the order in which items are
/// done, on partitions or on resuming. Whatever draws numbers for an item makes the item's stream:
///
///     var stream = RandomStream(seed: 42, purpose: "preference.noise", item: 17)
///
/// Philox 4x32-10: the key holds seed and purpose, the upper half of the counter the item and the
/// lower half the position in the stream.
public struct RandomStream: RandomNumberGenerator, Sendable {
  let key: UInt64
  let item: UInt64
  /// The index of the next block that has not been computed.
  var nextBlock: UInt64 = 0
  private var words: Philox.Block = (0, 0, 0, 0)
  /// The number of words of the current block already used.
  private var usedWords = 4

  /// The stream of `item`, which may take several indices: `item: epoch, batch`.
  public init(seed: UInt64, purpose: String, item: UInt64...) {
    key = Self.mixed(Self.mixed(seed) ^ Self.hash(purpose))
    // A single index is kept as it is, so that streams of different items never meet.
    self.item = item.dropFirst().reduce(item.first ?? 0) { Self.mixed($0) ^ $1 }
  }

  public mutating func nextUInt32() -> UInt32 {
    if usedWords == 4 {
      words = block(nextBlock)
      nextBlock &+= 1
      usedWords = 0
    }
    defer { usedWords += 1 }
    switch usedWords {
    case 0: return words.0
    case 1: return words.1
    case 2: return words.2
    default: return words.3
    }
  }

  public mutating func next() -> UInt64 {
    let low = UInt64(nextUInt32())
    return UInt64(nextUInt32()) << 32 | low
  }

  /// A number in 0..<1, a multiple of 2^-53.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A number of 0..<bound, each as likely as the others; `bound` is at least 1.
  public mutating func integer(below bound: Int) -> Int {
    precondition(bound > 0, "no integer is below \(bound) and at least 0")
    let count = UInt64(bound)
    // The upper word of a product with a 64-bit number is in 0..<count. It is unbiased once the
    // 2^64 mod count smallest lower words are refused (Lemire 2019, arXiv 1805.10941).
    var product = next().multipliedFullWidth(by: count)
    if product.low < count {
      let refused = (0 &- count) % count
      while product.low < refused { product = next().multipliedFullWidth(by: count) }
    }
    return Int(product.high)
  }

  /// The integers 0..<count in random order (Fisher and Yates).
  public mutating func permutation(count: Int) -> [Int] {
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(last, integer(below: last + 1))
    }
    return order
  }

  /// Drops what is left of the current block.
  mutating func discardPartialBlock() { usedWords = 4 }

  private func block(_ index: UInt64) -> Philox.Block {
    Philox.block(
      counter: (
        UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
        UInt32(truncatingIfNeeded: item), UInt32(truncatingIfNeeded: item >> 32)
      ), key: key)
  }

  /// FNV-1a, 64 bits: the same in every run, unlike `Hasher`.
  package static func hash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// A bijection in which every bit of the argument reaches every bit of the result (SplitMix64).
  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
