import Imaging
import Testing

@Suite struct JPEGDecoderTests {
  static let images: [String] =
    ["444", "422", "420"].flatMap { ["baseline-\($0)", "progressive-\($0)"] }
    + ["440", "411", "410", "441", "31", "13", "mixed", "chroma", "21all"].map { "sampling-\($0)" }
    + ["1x1", "2x2", "3x5", "5x3", "8x8", "16x16", "17x33", "4x18"].flatMap {
      ["size-\($0)-422", "size-\($0)-420"]
    }
    + (1...8).map { "orientation-\($0)" }
    + [
      "progressive-440", "progressive-411", "size-3x3-440", "quality-100", "quality-1",
      "extended-16-bit-steps", "optimized", "flat", "grey", "progressive-grey", "grey-2x2",
      "restart-blocks", "restart-rows", "progressive-restart", "separate-scans",
      "separate-chroma", "progressive-many", "rgb", "rgb-identifiers", "no-jfif", "cmyk",
      "cmyk-no-adobe", "ycck", "fill-bytes", "trailing-junk", "thumbnail", "bad-exif",
    ]

  @Test("pixels are exactly Pillow's (libjpeg-turbo's)", arguments: images)
  func pixels(name: String) throws {
    let image = try RGBImage(decoding: fixture(name + ".jpg"))
    #expect(largestDifference(image.pixels, try pillowPixels(of: name + ".jpg")) == 0)
  }

  @Test("the header tells the decoded size", arguments: images)
  func header(name: String) throws {
    let bytes = try fixture(name + ".jpg")
    let header = try ImageHeader(bytes)
    let upright = try RGBImage(decoding: bytes)
    #expect(header.format == .jpeg)
    #expect((header.width, header.height) == (upright.width, upright.height))
    let stored = try RGBImage(decoding: bytes, keepsOrientation: true)
    #expect((header.storedWidth, header.storedHeight) == (stored.width, stored.height))
  }

  @Test("an orientation is applied once, or not at all", arguments: 1...8)
  func orientation(value: Int) throws {
    let bytes = try fixture("orientation-\(value).jpg")
    let stored = try RGBImage(decoding: bytes, keepsOrientation: true)
    #expect(stored.pixels == (try pillowPixels(of: "orientation-1.jpg")))
    let orientation = try ImageHeader(bytes).orientation
    #expect(orientation.rawValue == value)
    #expect(stored.applying(orientation) == (try RGBImage(decoding: bytes)))
  }

  @Test("arithmetic coding is refused by its name")
  func arithmeticCoding() throws {
    #expect(throws: ImageError.unsupported(.jpeg, "arithmetic coding")) {
      try RGBImage(decoding: fixture("arithmetic.jpg"))
    }
  }
}
