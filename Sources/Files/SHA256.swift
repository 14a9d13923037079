import CSHA256

/// SHA-256 (FIPS 180-4) of bytes that arrive in chunks.
///
/// Uses the processor's SHA instructions if available.
public struct SHA256: Sendable {
  /// The chaining value a, b, …, h.
  private var state = SHA256.initialState
  /// Bytes that do not fill a block yet.
  private var pending: [UInt8] = []
  private var byteCount: UInt64 = 0

  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    byteCount += UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let head = rest.prefix(Self.blockSize - pending.count)
      pending.append(contentsOf: head)
      rest = rest.dropFirst(head.count)
      guard pending.count == Self.blockSize else { return }
      pending.withUnsafeBytes { Self.compress(&state, $0) }
      pending.removeAll(keepingCapacity: true)
    }
    let tail = rest.count % Self.blockSize
    Self.compress(&state, UnsafeRawBufferPointer(rebasing: rest.dropLast(tail)))
    pending.append(contentsOf: rest.suffix(tail))
  }

  public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// Returns the digest, 32 bytes, of everything so far, and resets the state.
  public mutating func finalize() -> [UInt8] {
    // A one bit, zeros up to 8 bytes before the end of a block, the number of bits.
    let paddedCount = pending.count + 9 <= Self.blockSize ? Self.blockSize : 2 * Self.blockSize
    withUnsafeTemporaryAllocation(byteCount: paddedCount, alignment: 8) { blocks in
      blocks.initializeMemory(as: UInt8.self, repeating: 0)
      blocks.copyBytes(from: pending)
      blocks[pending.count] = 0x80
      blocks.storeBytes(
        of: (byteCount * 8).bigEndian, toByteOffset: paddedCount - 8, as: UInt64.self)
      Self.compress(&state, UnsafeRawBufferPointer(blocks))
    }
    let digest = [UInt8](unsafeUninitializedCapacity: 4 * state.count) { bytes, count in
      let words = UnsafeMutableRawBufferPointer(bytes)
      for (index, word) in state.enumerated() {
        words.storeBytes(of: word.bigEndian, toByteOffset: 4 * index, as: UInt32.self)
      }
      count = 4 * state.count
    }
    self = SHA256()
    return digest
  }

  public static func digest(of bytes: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalize()
  }

  /// Returns the digest of the bytes of `file` from `offset` to its end.
  public static func digest(of file: RegularFile, from offset: Int = 0) throws(FileError) -> [UInt8]
  {
    var hash = SHA256()
    var position = offset
    repeat {
      let chunk = try file.read(at: position, count: min(1 << 20, file.size - position))
      hash.update(chunk)
      position += chunk.count
    } while position < file.size
    return hash.finalize()
  }

  /// Returns the digest as 64 lower-case hexadecimal digits.
  public static func hexDigest(of bytes: [UInt8]) -> String { digest(of: bytes).hexadecimal }

  private static let blockSize = 64
}

extension Collection<UInt8> {
  /// Two lower-case hexadecimal digits per byte.
  public var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * count)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

// MARK: - Compression

extension SHA256 {
  private static let hasInstructions = sha256_instructions_available()

  /// Updates `state` with `blocks`, a whole number of blocks.
  private static func compress(_ state: inout [UInt32], _ blocks: UnsafeRawBufferPointer) {
    guard hasInstructions else { return compressPortably(&state, blocks) }
    sha256_compress(
      &state, blocks.baseAddress?.assumingMemoryBound(to: UInt8.self), blocks.count / blockSize,
      roundConstants)
  }

  /// Does the same in plain arithmetic, for processors without the instructions.
  package static func compressPortably(_ state: inout [UInt32], _ blocks: UnsafeRawBufferPointer) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
      roundConstants.withUnsafeBufferPointer { constants in
        for start in stride(from: 0, to: blocks.count, by: blockSize) {
          expand(UnsafeRawBufferPointer(rebasing: blocks[start..<start + blockSize]), into: words)
          var a = state[0]
          var b = state[1]
          var c = state[2]
          var d = state[3]
          var e = state[4]
          var f = state[5]
          var g = state[6]
          var h = state[7]
          // Eight rounds per iteration: the roles of the variables rotate instead of their values.
          for t in stride(from: 0, to: 64, by: 8) {
            round(a, b, c, &d, e, f, g, &h, words[t] &+ constants[t])
            round(h, a, b, &c, d, e, f, &g, words[t + 1] &+ constants[t + 1])
            round(g, h, a, &b, c, d, e, &f, words[t + 2] &+ constants[t + 2])
            round(f, g, h, &a, b, c, d, &e, words[t + 3] &+ constants[t + 3])
            round(e, f, g, &h, a, b, c, &d, words[t + 4] &+ constants[t + 4])
            round(d, e, f, &g, h, a, b, &c, words[t + 5] &+ constants[t + 5])
            round(c, d, e, &f, g, h, a, &b, words[t + 6] &+ constants[t + 6])
            round(b, c, d, &e, f, g, h, &a, words[t + 7] &+ constants[t + 7])
          }
          state[0] &+= a
          state[1] &+= b
          state[2] &+= c
          state[3] &+= d
          state[4] &+= e
          state[5] &+= f
          state[6] &+= g
          state[7] &+= h
        }
      }
    }
  }

  /// The message schedule of one block, FIPS 180-4 section 6.2.2 step 1.
  private static func expand(
    _ block: UnsafeRawBufferPointer, into words: UnsafeMutableBufferPointer<UInt32>
  ) {
    for t in 0..<16 {
      words[t] = UInt32(
        bigEndian: block.loadUnaligned(fromByteOffset: 4 * t, as: UInt32.self))
    }
    for t in 16..<64 {
      let x = words[t - 15]
      let y = words[t - 2]
      let sigma0 = rotated(x, 7) ^ rotated(x, 18) ^ (x >> 3)
      let sigma1 = rotated(y, 17) ^ rotated(y, 19) ^ (y >> 10)
      words[t] = words[t - 16] &+ sigma0 &+ words[t - 7] &+ sigma1
    }
  }

  @inline(__always)
  private static func round(
    _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32,
    _ e: UInt32, _ f: UInt32, _ g: UInt32, _ h: inout UInt32, _ input: UInt32
  ) {
    let choice = (e & f) ^ (~e & g)
    let majority = (a & b) ^ (a & c) ^ (b & c)
    let t = h &+ (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) &+ choice &+ input
    d &+= t
    h = t &+ (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) &+ majority
  }

  @inline(__always)
  private static func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 {
    x &>> count | x &<< (32 - count)
  }

  package static let initialState: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]

  private static let roundConstants: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4,
    0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe,
    0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f,
    0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da, 0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
    0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc,
    0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
    0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070, 0x19a4_c116,
    0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7,
    0xc671_78f2,
  ]
}
