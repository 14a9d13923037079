import DynamicLibraries
import Files

/// The library that decodes WebP, loaded on the first such image.
public enum WebPLibrary {
  public static let fileName = "libwebp.so.7"
  /// The package to install if it is missing, as named in Debian and Ubuntu.
  public static let packageName = "libwebp7"
  /// The library's version and its location; nil if it is missing.
  public static var found: String? { WebP.shared.map { "\($0.version) (\($0.path))" } }
}

/// The functions of libwebp that are used here: its simple decoding interface.
struct WebP: Sendable {
  typealias GetInfo =
    @convention(c) @Sendable (
      UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<Int32>?, UnsafeMutablePointer<Int32>?
    ) -> Int32
  typealias DecodeInto =
    @convention(c) @Sendable (
      UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?, Int, Int32
    ) -> UnsafeMutablePointer<UInt8>?

  static let shared = WebP()

  let getInfo: GetInfo
  let decodeRGB: DecodeInto
  let decodeRGBA: DecodeInto
  let version: String
  let path: String

  private init?() {
    guard let library = DynamicLibrary(anyOf: WebPLibrary.fileName),
      let getInfo = library.function("WebPGetInfo", as: GetInfo.self),
      let decodeRGB = library.function("WebPDecodeRGBInto", as: DecodeInto.self),
      let decodeRGBA = library.function("WebPDecodeRGBAInto", as: DecodeInto.self),
      let versionNumber = library.function(
        "WebPGetDecoderVersion", as: (@convention(c) () -> Int32).self)
    else { return nil }
    self.getInfo = getInfo
    self.decodeRGB = decodeRGB
    self.decodeRGBA = decodeRGBA
    let number = versionNumber()
    version = "\(number >> 16 & 0xff).\(number >> 8 & 0xff).\(number & 0xff)"
    path = library.path(ofFunction: "WebPGetInfo")
  }

  static func required() throws(ImageError) -> WebP {
    guard let shared else {
      throw .unsupported(
        .webp,
        "\(WebPLibrary.fileName) is missing (install the package "
          + "\(WebPLibrary.packageName)), so this format")
    }
    return shared
  }
}

/// The header of a WebP file's container, read without the library.
///
/// A file is `RIFF`, its size, `WEBP`, then chunks, each a name of four letters, a size of four bytes
/// and the content, padded to an even length. Source: Google's WebP Container Specification.
struct WebPHeader {
  let width: Int
  let height: Int
  let hasAlpha: Bool
  let orientation: Orientation

  init(_ bytes: UnsafeBufferPointer<UInt8>) throws(ImageError) {
    // The header of a lossless image ends at byte 25, the others' at byte 30.
    let isLossless = bytes.count >= 16 && bytes[12..<16].elementsEqual("VP8L".utf8)
    guard bytes.count >= (isLossless ? 25 : 30) else {
      throw .truncated(.webp, "the file ends in its header")
    }
    let fileEnd = 8 + Self.integer(bytes, at: 4, byteCount: 4)
    guard fileEnd <= bytes.count else {
      throw .truncated(.webp, "it has \(bytes.count) bytes of \(fileEnd)")
    }
    switch String(decoding: bytes[12..<16], as: UTF8.self) {
    case "VP8 ":
      // Three bytes of frame tag, a start code, then two sizes of 14 bits.
      guard bytes[23..<26].elementsEqual([0x9d, 0x01, 0x2a]) else {
        throw .damaged(.webp, "no start code in the header of the frame")
      }
      width = Self.integer(bytes, at: 26, byteCount: 2) & 0x3fff
      height = Self.integer(bytes, at: 28, byteCount: 2) & 0x3fff
      hasAlpha = false
    case "VP8L":
      guard bytes[20] == 0x2f else {
        throw .damaged(.webp, "no signature in the header of the lossless image")
      }
      let bits = Self.integer(bytes, at: 21, byteCount: 4)
      width = (bits & 0x3fff) + 1
      height = (bits >> 14 & 0x3fff) + 1
      hasAlpha = bits >> 28 & 1 == 1
    case "VP8X":
      guard bytes[20] & 0x02 == 0 else { throw .unsupported(.webp, "an animation") }
      hasAlpha = bytes[20] & 0x10 != 0
      width = Self.integer(bytes, at: 24, byteCount: 3) + 1
      height = Self.integer(bytes, at: 27, byteCount: 3) + 1
    case let name: throw .damaged(.webp, "the first chunk is \"\(name.printable)\"")
    }
    guard width > 0, height > 0 else {
      throw .damaged(.webp, "the header declares \(width) x \(height) pixels")
    }
    orientation = Self.orientation(in: bytes)
  }

  private static func orientation(in bytes: UnsafeBufferPointer<UInt8>) -> Orientation {
    var offset = 12
    while offset <= bytes.count - 8 {
      let length = integer(bytes, at: offset + 4, byteCount: 4)
      let start = offset + 8
      guard length <= bytes.count - start else { return .up }
      if bytes[offset..<offset + 4].elementsEqual("EXIF".utf8) {
        // Some writers keep the prefix that the block has in a JPEG.
        let prefix = Array("Exif\0\0".utf8)
        let body = bytes[start..<start + length]
        return Orientation(tiff: body.starts(with: prefix) ? body.dropFirst(prefix.count) : body)
      }
      offset = start + length + length % 2
    }
    return .up
  }

  private static func integer(
    _ bytes: UnsafeBufferPointer<UInt8>, at offset: Int, byteCount: Int
  ) -> Int {
    bytes[offset..<offset + byteCount].reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}

/// Decodes a WebP file, lossy or lossless, with the system's libwebp; transparency is composited
/// over white.
///
/// Colour profiles are not applied, and animations are rejected.
func decodeWebP(
  _ bytes: UnsafeBufferPointer<UInt8>, limits: ImageLimits
) throws(ImageError) -> RGBImage {
  let header = try WebPHeader(bytes)
  try limits.check(width: header.width, height: header.height)
  let library = try WebP.required()
  // The library's output size must match the buffer.
  var width: Int32 = 0
  var height: Int32 = 0
  guard library.getInfo(bytes.baseAddress, bytes.count, &width, &height) != 0 else {
    throw .damaged(.webp, "libwebp does not know its header")
  }
  guard width == header.width, height == header.height else {
    throw .damaged(
      .webp,
      "the header declares \(header.width) x \(header.height) pixels, but the image has "
        + "\(width) x \(height)")
  }
  let channels = header.hasAlpha ? 4 : 3
  let rowByteCount = header.width * channels
  let decode = header.hasAlpha ? library.decodeRGBA : library.decodeRGB
  var isDecoded = false
  let samples = [UInt8](unsafeUninitializedCapacity: rowByteCount * header.height) {
    buffer, initializedCount in
    isDecoded =
      decode(
        bytes.baseAddress, bytes.count, buffer.baseAddress, rowByteCount * header.height,
        Int32(rowByteCount)) != nil
    initializedCount = isDecoded ? rowByteCount * header.height : 0
  }
  guard isDecoded else { throw .damaged(.webp, "its data is truncated or violates the format") }
  return RGBImage(
    width: header.width, height: header.height,
    pixels: header.hasAlpha ? laidOverWhite(samples) : samples)
}
