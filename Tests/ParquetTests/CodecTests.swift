import Files
import Parquet
import TestSupport
import Testing

/// Codecs other than snappy and gzip, on pages with wrong bytes or sizes.
@Suite struct CodecTests {
  /// Twelve bytes, the words 1, 2, 3, as each codec packs them.
  private static let packed: [(codec: Int32, bytes: [UInt8])] = [
    // A raw zstd block: magic, a frame header with the size, one last block.
    (6, [0x28, 0xb5, 0x2f, 0xfd, 0x20, 12, 0x61, 0, 0] + words(1, 2, 3)),
    (7, [0xc0] + words(1, 2, 3)),
    (5, [0xc0] + words(1, 2, 3)),
    (5, [0, 0, 0, 12, 0, 0, 0, 13, 0xc0] + words(1, 2, 3)),
    (5, [0, 0, 0, 4, 0, 0, 0, 5, 0x40] + words(1) + [0, 0, 0, 8, 0, 0, 0, 9, 0x80] + words(2, 3)),
    (4, [27, 11, 0, 0, 164, 0, 6, 202, 16, 81, 226, 195, 63, 0]),
  ]

  private func outcome(_ codec: Int32, _ bytes: [UInt8], count: Int) throws -> String {
    var page = HandMadeFile.Page(bytes)
    page.unpackedByteCount = count
    var file = HandMadeFile(.int32, [page])
    file.columns[0].codec = codec
    return try withTemporaryFolder { folder in
      let path = "\(folder)/a.parquet"
      try AtomicFile.replace(path, with: file.bytes)
      do throws(ParquetError) {
        let file = try ParquetFile(path: path)
        return "\(try file.digest(of: file.columns[0]).outcome)"
      } catch {
        return "\(error)"
      }
    }
  }

  @Test("pages are unpacked, and any other size or cut is refused", arguments: packed.indices)
  func codecs(index: Int) throws {
    let (codec, bytes) = Self.packed[index]
    let digest = SHA256.hexDigest(of: words(1, 2, 3))
    #expect(try outcome(codec, bytes, count: 12).contains(digest))
    for count in [0, 8, 11, 13, 16, 1 << 29] {
      #expect(try outcome(codec, bytes, count: count).contains("page 0 (byte 4): "), "\(count)")
    }
    for end in 0..<bytes.count {
      #expect(try outcome(codec, Array(bytes.prefix(end)), count: 12).contains("page 0"), "\(end)")
    }
  }

  @Test(
    "damaged LZ4 blocks are refused",
    arguments: [
      [0x10, 1, 0, 0],  // offset 0
      [0x10, 1, 2, 0],  // an offset before the start
      [0x1f, 1, 1, 0, 0xff, 0xff],  // a length without an end
      [0xf0, 0xff, 0xff, 0xff, 0xff],  // a literal without an end
      [0x1f, 1, 1, 0, 0xf0],  // a copy past the output
      [0x12, 1, 1],  // half an offset
    ] as [[UInt8]])
  func damagedLZ4(bytes: [UInt8]) throws {
    #expect(try outcome(7, bytes, count: 12).contains("lz4: "))
  }

  @Test("copies of LZ4 may overlap")
  func overlappingLZ4() throws {
    // A literal 1, 0, 0, 0 and twelve bytes from four back.
    let digest = SHA256.hexDigest(of: words(1, 1, 1))
    #expect(try outcome(7, [0x44, 1, 0, 0, 0, 4, 0, 0], count: 12).contains(digest))
  }

  @Test("a codec whose library is missing is refused with what to install and a way out")
  func missingLibrary() throws {
    for (codec, library) in [(Codec.zstd, CompressionLibrary.zstd), (.brotli, .brotli)] {
      #expect(library.found != nil)
      #expect(codec.obstacle(path: "a.parquet", isFound: true) == nil)
      let reason = try #require(codec.obstacle(path: "a.parquet", isFound: false))
      #expect(
        reason.hasPrefix("compressed with \(codec), for which \(library.fileName) is missing"))
      #expect(reason.contains(library.packageName))
      #expect(reason.contains("COPY (FROM 'a.parquet')"))
      #expect(reason.contains("(COMPRESSION snappy)"))
    }
    #expect(Codec.snappy.obstacle(path: "a.parquet", isFound: false) == nil)
  }
}
