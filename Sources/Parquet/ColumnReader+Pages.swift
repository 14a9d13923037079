extension ColumnReader {
  /// Reads the current page, whose header has been read and checked, and sets up its decoders.
  func loadPage() throws(Fault) {
    try verifyChecksum()
    var page = PageBytes(input, count: header.byteCount)
    if header.kind == .dataV2 {
      repetitions = try levels(
        &page, count: header.repetitionByteCount, column.maximumRepetitionLevel, repetitionBytes)
      definitions = try levels(
        &page, count: header.definitionByteCount, column.maximumDefinitionLevel, definitionBytes)
      let levelCount = header.repetitionByteCount + header.definitionByteCount
      if header.isCompressed, chunk.codec != .uncompressed {
        guard header.unpackedByteCount >= levelCount else {
          throw .malformed(
            "levels of \(levelCount) bytes in a page that unpacks to \(header.unpackedByteCount)")
        }
        page = try unpacked(page.remaining, to: header.unpackedByteCount - levelCount)
      }
    } else {
      page = try unpacked(header.byteCount, to: header.unpackedByteCount)
      repetitions = try levels(
        &page, header.repetitionEncoding, column.maximumRepetitionLevel, repetitionBytes)
      definitions = try levels(
        &page, header.definitionEncoding, column.maximumDefinitionLevel, definitionBytes)
    }
    decoder = try valueDecoder(&page)
    entriesLeftInPage = header.valueCount
    entriesLeftInChunk -= header.valueCount
  }

  func loadDictionary() throws(Fault) {
    guard dictionary == nil, pageIndex == 0 || entriesLeftInChunk == chunk.valueCount else {
      throw .malformed("a dictionary page that is not the chunk's first page")
    }
    guard
      header.encoding == Encoding.plain.rawValue
        || header.encoding == Encoding.plainDictionary.rawValue
    else { throw .unsupported("a dictionary with encoding \(header.encoding)") }
    guard column.physicalType != .boolean else {
      throw .malformed("a dictionary of booleans")
    }
    try verifyChecksum()
    let byteCount = unpackedByteCount
    try input.unpack(header.byteCount, codec: chunk.codec, to: dictionaryBytes, count: byteCount)
    dictionary = try ValueDictionary(
      dictionaryBytes.base, byteCount: byteCount, count: header.valueCount,
      width: column.valueWidth)
  }

  private func verifyChecksum() throws(Fault) {
    guard let expected = header.checksum else { return }
    let found = try input.checksum(header.byteCount)
    guard found == expected else {
      throw .malformed(
        "the page's CRC is \(hexadecimal(found)), its header says \(hexadecimal(expected))")
    }
  }

  private func hexadecimal(_ word: UInt32) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// Returns the next bytes of the input, decompressed if the chunk is compressed.
  private func unpacked(_ packedCount: Int, to count: Int) throws(Fault) -> PageBytes {
    if chunk.codec == .uncompressed { return PageBytes(input, count: packedCount) }
    try input.unpack(packedCount, codec: chunk.codec, to: pageBytes, count: count)
    return PageBytes(pageBytes.base, count: count)
  }

  /// The size of an uncompressed page is given twice: the number of its bytes decides.
  private var unpackedByteCount: Int {
    chunk.codec == .uncompressed ? header.byteCount : header.unpackedByteCount
  }

  // MARK: - Levels

  /// Reads levels of a version 1 page, which begin with their length.
  private func levels(
    _ page: inout PageBytes, _ encoding: Int32, _ maximum: Int, _ buffer: ByteBuffer
  ) throws(Fault) -> LevelDecoder {
    guard maximum > 0 else { return .none }
    let width = LevelDecoder.width(of: maximum)
    switch Encoding(rawValue: encoding) {
    case .runLength:
      let word = try page.take(4).loadUnaligned(as: UInt32.self)
      return try levels(&page, count: Int(word.littleEndian), maximum, buffer)
    case .bitPacked:
      let count = (header.valueCount * width + 7) / 8
      try copy(&page, count, to: buffer)
      return .packed(start: buffer.base, bit: 0, width: width, bitCount: count * 8)
    default:
      throw .unsupported("levels with encoding \(encoding)")
    }
  }

  /// Levels as runs in the next `count` bytes.
  private func levels(
    _ page: inout PageBytes, count: Int, _ maximum: Int, _ buffer: ByteBuffer
  ) throws(Fault) -> LevelDecoder {
    try copy(&page, count, to: buffer)
    guard maximum > 0 else { return .none }
    return .hybrid(
      try HybridDecoder(
        buffer.base, byteCount: count, width: LevelDecoder.width(of: maximum)))
  }

  /// Levels are needed as long as the values, for which the input's window may move on.
  private func copy(
    _ page: inout PageBytes, _ count: Int, to buffer: ByteBuffer
  ) throws(Fault) {
    let bytes = try page.take(count)
    try buffer.reserve(count)
    buffer.base.copyMemory(from: bytes, byteCount: count)
  }

  // MARK: - Values

  private func valueDecoder(_ page: inout PageBytes) throws(Fault) -> any ValueDecoder {
    guard let encoding = Encoding(rawValue: header.encoding) else {
      throw .unsupported("the unknown encoding \(header.encoding)")
    }
    let type = column.physicalType
    let width = column.valueWidth
    if encoding == .plain, type == .byteArray, page.isInput {
      return StreamedBytesDecoder(input, byteCount: page.remaining)
    }
    let count = page.remaining
    let bytes = try page.take(count)
    let limit = header.valueCount
    // If all values are null, some writers omit even the encodings' headers.
    if count == 0 { return PlainBytesDecoder(bytes, byteCount: 0) }
    switch (encoding, type) {
    case (.plain, .boolean): return PlainBooleanDecoder(bytes, byteCount: count)
    case (.plain, .byteArray): return PlainBytesDecoder(bytes, byteCount: count)
    case (.plain, _): return PlainFixedDecoder(bytes, byteCount: count, width: width)
    case (.plainDictionary, _), (.runLengthDictionary, _):
      guard let dictionary else {
        throw .malformed("dictionary indices in a column chunk without a dictionary page")
      }
      return DictionaryDecoder(bytes, byteCount: count, dictionary: dictionary, width: width)
    case (.runLength, .boolean): return try RunLengthBooleanDecoder(bytes, byteCount: count)
    case (.deltaBinaryPacked, .int32), (.deltaBinaryPacked, .int64):
      return try DeltaIntegerDecoder(bytes, byteCount: count, limit: limit, width: width)
    case (.deltaLengthByteArray, .byteArray):
      return try DeltaLengthDecoder(bytes, byteCount: count, limit: limit, batch: batch)
    case (.deltaByteArray, .byteArray), (.deltaByteArray, .fixedLengthByteArray):
      return try DeltaBytesDecoder(
        bytes, byteCount: count, limit: limit, width: width, batch: batch)
    case (.byteStreamSplit, .float), (.byteStreamSplit, .double), (.byteStreamSplit, .int32),
      (.byteStreamSplit, .int64), (.byteStreamSplit, .fixedLengthByteArray):
      return try ByteStreamSplitDecoder(bytes, byteCount: count, width: width)
    default:
      throw .malformed("values of type \(type) with the encoding \(encoding)")
    }
  }
}

/// The bytes of a page, in memory or still to be read from the input.
struct PageBytes {
  private let input: ChunkInput?
  private var next: UnsafeRawPointer?
  private(set) var remaining: Int

  init(_ input: ChunkInput, count: Int) {
    self.input = input
    remaining = count
  }

  init(_ start: UnsafeRawPointer, count: Int) {
    input = nil
    next = start
    remaining = count
  }

  var isInput: Bool { input != nil }

  /// The next `count` bytes, which from an input stay valid until it is read again.
  mutating func take(_ count: Int) throws(Fault) -> UnsafeRawPointer {
    guard count <= remaining else {
      throw .malformed("expected \(count) bytes, but the page has only \(remaining) left")
    }
    remaining -= count
    if let input { return try input.take(count) }
    guard let start = next else { throw .malformed("the page is empty") }
    next = start + count
    return start
  }
}
