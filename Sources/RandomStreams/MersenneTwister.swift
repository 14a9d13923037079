/// The generator MT19937, seeded as torch's CPU generator seeds it.
///
/// Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; the initialiser is that
/// of their revision of 2002.
struct MersenneTwister {
  private static let stateSize = 624
  private static let shiftSize = 397
  private var state: [UInt32]
  private var position = MersenneTwister.stateSize

  init(seed: UInt32) {
    state = [UInt32](repeating: seed, count: Self.stateSize)
    for index in 1..<Self.stateSize {
      let previous = state[index - 1]
      state[index] = 1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(index)
    }
  }

  mutating func next() -> UInt32 {
    if position == Self.stateSize { refill() }
    var word = state[position]
    position += 1
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C_5680
    word ^= (word << 15) & 0xEFC6_0000
    return word ^ (word >> 18)
  }

  private mutating func refill() {
    let size = Self.stateSize
    for index in 0..<size {
      let joined = (state[index] & 0x8000_0000) | (state[(index + 1) % size] & 0x7FFF_FFFF)
      let twist: UInt32 = joined & 1 == 0 ? 0 : 0x9908_B0DF
      state[index] = state[(index + Self.shiftSize) % size] ^ (joined >> 1) ^ twist
    }
    position = 0
  }
}
