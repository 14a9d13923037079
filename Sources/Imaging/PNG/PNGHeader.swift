/// The fixed first chunk of a PNG file, and its EXIF orientation.
struct PNGHeader {
  static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

  let width: Int
  let height: Int
  /// Bytes of a row as stored, without its filter byte.
  let rowByteCount: Int

  init(_ bytes: UnsafeBufferPointer<UInt8>) throws(ImageError) {
    // Signature, length, "IHDR", 13 bytes of header, CRC.
    guard bytes.count >= 33 else { throw .truncated(.png, "the file ends in its header") }
    guard Self.integer(bytes, at: 8) == 13, bytes[12..<16].elementsEqual("IHDR".utf8) else {
      throw .damaged(.png, "the first chunk is not a header of 13 bytes")
    }
    width = Self.integer(bytes, at: 16)
    height = Self.integer(bytes, at: 20)
    guard 1...0x7fff_ffff ~= width, 1...0x7fff_ffff ~= height else {
      throw .damaged(.png, "the header declares \(width) x \(height) pixels")
    }
    let bitDepth = Int(bytes[24])
    guard let channels = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][Int(bytes[25])],
      [1, 2, 4, 8, 16].contains(bitDepth)
    else {
      throw .damaged(.png, "colour type \(bytes[25]) with \(bitDepth) bits a sample")
    }
    rowByteCount = (width * channels * bitDepth + 7) / 8
  }

  /// The orientation in the file's eXIf chunk, wherever that lies.
  static func orientation(in bytes: UnsafeBufferPointer<UInt8>) -> Orientation {
    var offset = signature.count
    // Each chunk is a length, a type, the data and a CRC of four bytes.
    while offset <= bytes.count - 12 {
      let length = integer(bytes, at: offset)
      guard length <= bytes.count - offset - 12 else { return .up }
      if bytes[offset + 4..<offset + 8].elementsEqual("eXIf".utf8) {
        return Orientation(tiff: bytes[offset + 8..<offset + 8 + length])
      }
      offset += 12 + length
    }
    return .up
  }

  private static func integer(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> Int {
    bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
  }
}
