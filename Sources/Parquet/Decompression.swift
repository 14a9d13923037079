import CZlib

extension ChunkInput {
  /// Decompresses the next `packedCount` bytes to exactly `count` bytes in `output`.
  ///
  /// The sizes are checked against the codec's maximum ratio before memory is allocated.
  func unpack(
    _ packedCount: Int, codec: Codec, to output: ByteBuffer, count: Int
  ) throws(Fault) {
    switch codec {
    case .uncompressed:
      guard packedCount == count else {
        throw .malformed("\(packedCount) bytes uncompressed, but the page says \(count)")
      }
      try output.reserve(count)
      output.base.copyMemory(from: try take(count), byteCount: count)
    case .snappy: try unpackSnappy(packedCount, to: output, count: count)
    case .gzip: try unpackGzip(packedCount, to: output, count: count)
    case .lz4Raw, .lz4: try unpackLZ4(packedCount, isFramed: codec == .lz4, to: output, count)
    case .zstd:
      // A block of 128 KB may be one byte, repeated, behind a header of three.
      try unpack(packedCount, "zstd", expansion: 1 << 15, to: output, count) {
        Zstd.shared?.unpack($0, packedCount, into: $1, count)
      }
    case .brotli:
      try unpack(packedCount, "brotli", expansion: PageHeader.maximumByteCount, to: output, count) {
        Brotli.shared?.unpack($0, packedCount, into: $1, count)
      }
    case .other: throw .unsupported("compressed with \(codec), which is not supported")
    }
  }

  private func unpackLZ4(
    _ packedCount: Int, isFramed: Bool, to output: ByteBuffer, _ count: Int
  ) throws(Fault) {
    guard LZ4Decoder.canUnpack(packedCount, to: count) else {
      throw .malformed("lz4: \(packedCount) bytes cannot unpack to \(count)")
    }
    try output.reserve(count)
    let packed = UnsafeRawBufferPointer(start: try take(packedCount), count: packedCount)
    let unpacked = UnsafeMutableRawBufferPointer(start: output.base, count: count)
    if isFramed {
      try LZ4Decoder.unpackFramed(packed, into: unpacked)
    } else {
      try LZ4Decoder.unpack(packed, into: unpacked)
    }
  }

  /// Decompresses with a library's function, which returns the decompressed size, or nil for
  /// damaged bytes.
  ///
  /// - Parameter expansion: the maximum number of bytes that one can expand to
  private func unpack(
    _ packedCount: Int, _ name: String, expansion: Int, to output: ByteBuffer, _ count: Int,
    _ unpack: (UnsafeRawPointer, UnsafeMutableRawPointer) -> Int?
  ) throws(Fault) {
    if packedCount == 0, count == 0 { return }
    guard count / expansion <= packedCount else {
      throw .malformed("\(name): \(packedCount) bytes cannot unpack to \(count)")
    }
    try output.reserve(count)
    guard let found = unpack(try take(packedCount), output.base) else {
      throw .malformed("\(name): the packed bytes are damaged, or unpack to more than \(count)")
    }
    guard found == count else {
      throw .malformed("\(name): the page unpacks to \(found) bytes instead of \(count)")
    }
  }

  private func unpackSnappy(
    _ packedCount: Int, to output: ByteBuffer, count: Int
  ) throws(Fault) {
    // Writers compress an empty page to nothing at all.
    if packedCount == 0, count == 0 { return }
    guard SnappyDecoder.canUnpack(packedCount, to: count) else {
      throw .malformed("snappy: \(packedCount) bytes cannot unpack to \(count)")
    }
    try output.reserve(count)
    var decoder = SnappyDecoder(into: output.base, count: count)
    var left = packedCount
    let header = try decoder.checkSize(try piece(of: left))
    skip(header)
    left -= header
    while left > 0 {
      let piece = try piece(of: left)
      let used = try decoder.feed(piece, isLast: piece.count == left)
      skip(used)
      left -= used
    }
    try decoder.finish()
  }

  /// Decompresses one or more consecutive gzip members; zlib's own header is accepted, too.
  private func unpackGzip(
    _ packedCount: Int, to output: ByteBuffer, count: Int
  ) throws(Fault) {
    if packedCount == 0, count == 0 { return }
    // Deflate's limit is 1,032 to 1.
    guard count / 1032 <= packedCount else {
      throw .malformed("gzip: \(packedCount) bytes cannot unpack to \(count)")
    }
    try output.reserve(count)
    var stream = z_stream()
    let detectHeader: Int32 = 15 + 32
    guard
      inflateInit2_(
        &stream, detectHeader, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw .malformed("gzip: zlib could not be started") }
    defer { inflateEnd(&stream) }
    // One byte of the slack reveals whether there is more than the page declares.
    stream.next_out = output.base.assumingMemoryBound(to: UInt8.self)
    stream.avail_out = uInt(count + 1)
    var left = packedCount
    var isComplete = false
    while left > 0 {
      if isComplete {
        guard inflateReset(&stream) == Z_OK else {
          throw .malformed("gzip: zlib could not be reset")
        }
      }
      let piece = try piece(of: left)
      stream.next_in = UnsafeMutablePointer(
        mutating: piece.baseAddress?.assumingMemoryBound(to: UInt8.self))
      stream.avail_in = uInt(piece.count)
      let status = inflate(&stream, Z_NO_FLUSH)
      guard status == Z_OK || status == Z_STREAM_END, stream.avail_out > 0 else {
        throw .malformed(
          stream.avail_out == 0
            ? "gzip: the page unpacks to more than the \(count) bytes it claims"
            : "gzip: the packed bytes are damaged")
      }
      isComplete = status == Z_STREAM_END
      let used = piece.count - Int(stream.avail_in)
      skip(used)
      left -= used
    }
    let unpacked = count + 1 - Int(stream.avail_out)
    guard isComplete, unpacked == count else {
      throw .malformed("gzip: the page unpacks to \(unpacked) bytes instead of \(count)")
    }
  }
}
