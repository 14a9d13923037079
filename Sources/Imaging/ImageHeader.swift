import Files

/// The supported file formats.
public enum ImageFormat: String, Sendable, CustomStringConvertible {
  case jpeg = "JPEG"
  case png = "PNG"
  case webp = "WebP"

  public var description: String { rawValue }

  /// Detects the format from the first bytes; another format is rejected by name.
  init(of bytes: UnsafeBufferPointer<UInt8>) throws(ImageError) {
    if bytes.starts(with: [0xff, 0xd8, 0xff]) {
      self = .jpeg
    } else if bytes.starts(with: PNGHeader.signature) {
      self = .png
    } else if Self.isWebP(bytes) {
      self = .webp
    } else {
      throw .unrecognized(Self.describe(bytes))
    }
  }

  private static func isWebP(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    bytes.count >= 12 && bytes.starts(with: Array("RIFF".utf8))
      && bytes[8..<12].elementsEqual("WEBP".utf8)
  }

  /// Describes what the bytes look like, and how to convert them.
  private static func describe(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    if let name = otherFormat(bytes) {
      // ImageMagick's command is the same for all; the first of several frames is used.
      return "\(name), which is not supported; convert it, for example: "
        + "magick 'IMAGE[0]' -auto-orient IMAGE.png"
    }
    // Messages never quote data that is not an image: the file may not have been meant to be read.
    if let mistake = MistakenFile(head: bytes, expected: "an image", quotesText: false) {
      return "it \(mistake.problem(expected: "an image"))"
    }
    return bytes.allSatisfy { $0 == 0 }
      ? "all of its bytes are 0" : "its first bytes match no known format"
  }

  /// Returns the name of an unsupported image format.
  private static func otherFormat(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
    let beginnings: [(String, [UInt8])] = [
      ("GIF", Array("GIF8".utf8)), ("BMP", Array("BM".utf8)), ("TIFF", Array("II*\0".utf8)),
      ("TIFF", Array("MM\0*".utf8)), ("TIFF", Array("II+\0".utf8)),
      ("TIFF", Array("MM\0+".utf8)), ("JPEG XL", [0xff, 0x0a]),
      ("JPEG 2000", [0, 0, 0, 12, 0x6a, 0x50]), ("JPEG 2000", [0xff, 0x4f, 0xff, 0x51]),
      ("JPEG XL", [0, 0, 0, 12, 0x4a, 0x58]), ("an icon", [0, 0, 1, 0]),
      ("Photoshop", Array("8BPS".utf8)),
    ]
    for (name, beginning) in beginnings where bytes.starts(with: beginning) { return name }
    guard bytes.count >= 12, bytes[4..<8].elementsEqual("ftyp".utf8) else { return nil }
    let brand = String(decoding: bytes[8..<12], as: UTF8.self)
    switch brand {
    case "avif", "avis": return "AVIF"
    case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1": return "HEIC"
    default: return "a video or another ISO media file"
    }
  }
}

/// The properties of an image in its file's header, read without decoding the pixels.
public struct ImageHeader: Equatable, Sendable {
  public let format: ImageFormat
  /// Columns and rows as stored, before the EXIF orientation is applied.
  public let storedWidth: Int
  public let storedHeight: Int
  /// The rotation to apply to the stored image; `.up` if unspecified.
  public let orientation: Orientation

  /// Columns after the EXIF orientation is applied.
  public var width: Int { orientation.swapsAxes ? storedHeight : storedWidth }
  /// Rows after the EXIF orientation is applied.
  public var height: Int { orientation.swapsAxes ? storedWidth : storedHeight }

  /// Reads the header of a JPEG, PNG or WebP file in memory, whatever size it declares.
  public init(_ bytes: [UInt8]) throws(ImageError) {
    self = try bytes.withUnsafeBufferPointer { (buffer) throws(ImageError) -> ImageHeader in
      let format = try ImageFormat(of: buffer)
      switch format {
      case .jpeg:
        var limits = ImageLimits()
        limits.pixelCount = Int.max
        var reader = JPEGHeaderReader(buffer, limits: limits, buildsTables: false)
        let frame = try reader.readToFirstScan()
        return ImageHeader(
          format: format, storedWidth: frame.width, storedHeight: frame.height,
          orientation: reader.orientation)
      case .png:
        let header = try PNGHeader(buffer)
        return ImageHeader(
          format: format, storedWidth: header.width, storedHeight: header.height,
          orientation: PNGHeader.orientation(in: buffer))
      case .webp:
        let header = try WebPHeader(buffer)
        return ImageHeader(
          format: format, storedWidth: header.width, storedHeight: header.height,
          orientation: header.orientation)
      }
    }
  }

  /// Reads a whole JPEG, PNG or WebP file and throws the errors of decoding it to an `RGBImage`.
  ///
  /// The pixels of a JPEG, which are most of the work, are not computed: every error shows when its
  /// bits are read.
  public init(checking bytes: [UInt8], limits: ImageLimits) throws(ImageError) {
    self = try bytes.withUnsafeBufferPointer { (buffer) throws(ImageError) -> ImageHeader in
      let format = try ImageFormat(of: buffer)
      switch format {
      case .jpeg:
        var decoder = JPEGDecoder(buffer, limits: limits)
        let frame = try decoder.check()
        return ImageHeader(
          format: format, storedWidth: frame.width, storedHeight: frame.height,
          orientation: decoder.header.orientation)
      case .png:
        let image = try decodePNG(buffer, limits: limits)
        return ImageHeader(
          format: format, storedWidth: image.width, storedHeight: image.height,
          orientation: PNGHeader.orientation(in: buffer))
      case .webp:
        let image = try decodeWebP(buffer, limits: limits)
        return ImageHeader(
          format: format, storedWidth: image.width, storedHeight: image.height,
          orientation: try WebPHeader(buffer).orientation)
      }
    }
  }

  private init(
    format: ImageFormat, storedWidth: Int, storedHeight: Int, orientation: Orientation
  ) {
    self.format = format
    self.storedWidth = storedWidth
    self.storedHeight = storedHeight
    self.orientation = orientation
  }
}

/// Two hexadecimal digits.
func hexadecimal(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 16)
  return byte < 16 ? "0" + digits : digits
}
