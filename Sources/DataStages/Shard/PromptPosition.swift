import Catalog

extension PromptRecord {
  /// The position of its text's digest among all digests, 0..<1.
  package var position: Double { Self.position(sha256: sha256) }

  package static func position(sha256: String) -> Double {
    Double(UInt32(sha256.prefix(8), radix: 16) ?? 0) / 0x1p32
  }
}
