import Files
import TestSupport
import Testing

@Suite struct SHA256Tests {
  /// Examples of NIST's "SHA-256" example values and FIPS 180-2, appendix B.
  @Test(
    "the published examples have their published digests",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func publishedExamples(text: String, digest: String) {
    #expect(SHA256.hexDigest(of: Array(text.utf8)) == digest)
  }

  @Test("a million times the letter a has its published digest")
  func longExample() {
    #expect(
      SHA256.hexDigest(of: [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// hashlib: sha256(b"".join(sha256(d[:n]).digest() for n in range(301))), d[i] = 7 i + 3.
  @Test("every length around the borders of blocks has hashlib's digest")
  func blockBorders() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: 7 * $0 + 3) }
    let digests = (0...300).flatMap { SHA256.digest(of: Array(bytes.prefix($0))) }
    #expect(
      SHA256.hexDigest(of: digests)
        == "7d917fbd2cf49ddff9ad0a8706bba32d204e92e71d2e369c5a03d6af29278c9f")
  }

  @Test("the digest does not depend on how the bytes are cut", arguments: [1, 3, 63, 64, 65, 127])
  func pieces(size: Int) {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* $0) }
    var hash = SHA256()
    for start in stride(from: 0, to: bytes.count, by: size) {
      hash.update(Array(bytes[start..<min(start + size, bytes.count)]))
    }
    #expect(hash.finalize() == SHA256.digest(of: bytes))
    #expect(hash.finalize() == SHA256.digest(of: []))
  }

  @Test("plain arithmetic and the processor's instructions agree")
  func portable() {
    // A message of 1016 bytes padded by hand: 0x80, then the length of 8128 bits.
    let message = (0..<1016).map { UInt8(truncatingIfNeeded: 31 * $0 + 1) }
    let padded = message + [0x80] + [UInt8](repeating: 0, count: 69) + [0x1f, 0xc0]
    var state = SHA256.initialState
    padded.withUnsafeBytes { SHA256.compressPortably(&state, $0) }
    let digest = state.flatMap { word in (0..<4).map { UInt8(word >> (24 - 8 * $0) & 255) } }
    #expect(digest == SHA256.digest(of: message))
  }

  @Test("a file has the digest of its bytes, from any offset on")
  func file() throws {
    try withTemporaryFolder { folder in
      let bytes = (0..<(3 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 >> 8 ^ $0) }
      try AtomicFile.replace("\(folder)/bytes", with: bytes)
      let file = try RegularFile(path: "\(folder)/bytes")
      #expect(try SHA256.digest(of: file) == SHA256.digest(of: bytes))
      #expect(try SHA256.digest(of: file, from: 9) == SHA256.digest(of: Array(bytes[9...])))
      #expect(try SHA256.digest(of: file, from: bytes.count) == SHA256.digest(of: []))
      #expect(throws: FileError.self) { try SHA256.digest(of: file, from: bytes.count + 1) }
    }
  }
}
