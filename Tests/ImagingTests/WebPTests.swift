import Imaging
import TestSupport
import Testing

struct WebPTests {
  static let images = [
    "lossy", "lossy-odd", "lossless", "lossy-alpha", "lossless-alpha", "one-pixel", "turned",
  ]

  private static let isThere: Comment = """
    \(WebPLibrary.fileName) is missing (package \(WebPLibrary.packageName)), so WebP is not tested
    """

  @Test(
    "pixels are exactly Pillow's", .enabled(if: WebPLibrary.found != nil, isThere),
    arguments: images)
  func pixels(name: String) throws {
    let image = try RGBImage(decoding: fixture("\(name).webp"))
    #expect(try image.pixels == pillowPixels(of: "\(name).webp"))
  }

  @Test(
    "the header tells the decoded size", .enabled(if: WebPLibrary.found != nil, isThere),
    arguments: images)
  func header(name: String) throws {
    let bytes = try fixture("\(name).webp")
    let image = try RGBImage(decoding: bytes)
    for header in [try ImageHeader(bytes), try ImageHeader(checking: bytes, limits: .init())] {
      #expect(header.format == .webp)
      #expect(header.width == image.width)
      #expect(header.height == image.height)
    }
  }

  @Test("an animation is refused by name")
  func animation() throws {
    let bytes = try fixture("animated.webp")
    #expect(throws: ImageError.unsupported(.webp, "an animation")) {
      try RGBImage(decoding: bytes)
    }
  }

  @Test("a size beyond the limit is refused from the header")
  func limit() throws {
    var bytes = try fixture("lossless.webp")
    // 16,384 x 16,384 pixels in the 28 bits of the size.
    bytes[21...23] = [0xff, 0xff, 0xff]
    bytes[24] |= 0x0f
    #expect(throws: ImageError.tooLarge(width: 16_384, height: 16_384, pixelLimit: 89_478_485)) {
      try RGBImage(decoding: bytes)
    }
  }

  @Test(
    "a file that is cut anywhere is refused", .enabled(if: WebPLibrary.found != nil, isThere),
    arguments: ["lossy", "lossless", "lossy-alpha"])
  func truncated(name: String) throws {
    let bytes = try fixture("\(name).webp")
    for count in stride(from: 12, to: bytes.count, by: 7) {
      #expect(throws: ImageError.self) { try RGBImage(decoding: Array(bytes[..<count])) }
      // Also where the container's size is that of what is left.
      var patched = Array(bytes[..<count])
      let size = UInt32(count - 8)
      for place in 0..<4 { patched[4 + place] = UInt8(truncatingIfNeeded: size >> (8 * place)) }
      #expect(throws: ImageError.self) { try ImageHeader(checking: patched, limits: .init()) }
    }
  }

  @Test(
    "changed bytes give an image or an error", .enabled(if: WebPLibrary.found != nil, isThere),
    arguments: images)
  func mutations(name: String) throws {
    let bytes = try fixture("\(name).webp")
    var random = SeededGenerator(seed: 7)
    var limits = ImageLimits()
    limits.pixelCount = 1 << 20
    for _ in 0..<200 {
      var changed = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        changed[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      _ = try? RGBImage(decoding: changed, limits: limits)
    }
  }

  @Test(
    "other formats are named, with what converts them",
    arguments: [
      ("GIF", Array("GIF89a".utf8)), ("BMP", Array("BM6\u{3}".utf8)),
      ("TIFF", [0x49, 0x49, 0x2a, 0]), ("TIFF", [0x4d, 0x4d, 0, 0x2a]),
      ("AVIF", [0, 0, 0, 32] + Array("ftypavif".utf8)),
      ("HEIC", [0, 0, 0, 24] + Array("ftypheic".utf8)), ("JPEG XL", [0xff, 0x0a]),
      ("JPEG XL", [0, 0, 0, 12, 0x4a, 0x58, 0x4c, 0x20]),
    ] as [(String, [UInt8])])
  func otherFormats(name: String, beginning: [UInt8]) throws {
    let bytes = beginning + [UInt8](repeating: 0, count: 40)
    #expect {
      try RGBImage(decoding: bytes)
    } throws: {
      "\($0)".hasPrefix(
        "not a JPEG, PNG or WebP image: \(name), which is not supported; convert it")
    }
  }
}
