/// An image of 8-bit red, green and blue samples.
public struct RGBImage: Equatable, Sendable {
  /// Columns, at least 1.
  public let width: Int
  /// Rows, at least 1.
  public let height: Int
  /// `[height, width, 3]`, rows from the top, 0...255, as stored (gamma-encoded, no colour profile
  /// applied).
  public let pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(
      width > 0 && height > 0 && pixels.count == width * height * 3,
      "\(pixels.count) samples do not make \(width) x \(height) RGB pixels")
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}

/// Limits on an image's memory and time.
public struct ImageLimits: Sendable {
  /// Largest width times height; by default Pillow's figure.
  public var pixelCount = 89_478_485
  /// Largest number of scans in a JPEG; real progressive files have about ten.
  public var scanCount = 100

  public init() {}

  /// Rejects a size before anything is allocated for it.
  func check(width: Int, height: Int) throws(ImageError) {
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, pixels <= pixelCount else {
      throw .tooLarge(width: width, height: height, pixelLimit: pixelCount)
    }
  }
}

extension RGBImage {
  /// Decodes a JPEG, PNG or WebP file in memory.
  ///
  /// The pixels are libjpeg-turbo's (accurate integer inverse DCT, fancy upsampling), libpng's and
  /// libwebp's. Grey becomes three equal channels, Adobe CMYK and YCCK become RGB as in Pillow,
  /// transparency is composited over white, 16-bit samples keep their high byte. Damaged or
  /// truncated data is an error: missing samples are never made up.
  ///
  /// - Parameter keepsOrientation: do not apply the EXIF orientation.
  public init(
    decoding bytes: [UInt8], limits: ImageLimits = ImageLimits(), keepsOrientation: Bool = false
  ) throws(ImageError) {
    let (stored, orientation) = try bytes.withUnsafeBufferPointer {
      (buffer) throws(ImageError) -> (RGBImage, Orientation) in
      switch try ImageFormat(of: buffer) {
      case .jpeg:
        var decoder = JPEGDecoder(buffer, limits: limits)
        let image = try decoder.decode()
        return (image, decoder.header.orientation)
      case .png:
        return (try decodePNG(buffer, limits: limits), PNGHeader.orientation(in: buffer))
      case .webp:
        return (try decodeWebP(buffer, limits: limits), try WebPHeader(buffer).orientation)
      }
    }
    self = keepsOrientation ? stored : stored.applying(orientation)
  }
}

/// Composites RGBA samples over white: `(alpha * sample + (255 - alpha) * 255) / 255`, rounded.
func laidOverWhite(_ samples: [UInt8]) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: samples.count / 4 * 3) { output, initializedCount in
    for pixel in 0..<samples.count / 4 {
      let alpha = Int(samples[4 * pixel + 3])
      for channel in 0..<3 {
        let sum = alpha * Int(samples[4 * pixel + channel]) + (255 - alpha) * 255
        output[3 * pixel + channel] = UInt8(truncatingIfNeeded: (sum + 127) / 255)
      }
    }
    initializedCount = samples.count / 4 * 3
  }
}
