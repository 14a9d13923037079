import Imaging
import Testing

@Suite struct PNGTests {
  static let images = [
    "rgb", "rgb-interlaced", "rgba", "rgba-interlaced", "grey", "grey-alpha", "grey-1-bit",
    "grey-2-bit", "grey-4-bit", "palette-4-bit", "palette-interlaced", "palette-alpha", "rgb-key",
    "rgb-16-bit", "rgba-16-bit", "grey-16-bit", "metadata-bad-crc", "profile-bomb", "turned",
  ]

  @Test("pixels are exactly Pillow's", arguments: images)
  func pixels(name: String) throws {
    let image = try RGBImage(decoding: fixture(name + ".png"))
    #expect(largestDifference(image.pixels, try pillowPixels(of: name + ".png")) == 0)
  }

  @Test("the header tells the decoded size", arguments: images)
  func header(name: String) throws {
    let bytes = try fixture(name + ".png")
    let image = try RGBImage(decoding: bytes)
    let header = try ImageHeader(bytes)
    #expect(header.format == .png)
    #expect((header.width, header.height) == (image.width, image.height))
  }

  @Test("a palette index beyond the palette is damage")
  func paletteIndex() throws {
    #expect(throws: ImageError.damaged(.png, "IDAT: Read palette index exceeding num_palette")) {
      try RGBImage(decoding: fixture("palette-index-over.png"))
    }
  }

  @Test("an image written and read again is the same")
  func roundTrip() throws {
    let source = try sourceImage()
    #expect(try RGBImage(decoding: source.encodedAsPNG()) == source)
  }
}
