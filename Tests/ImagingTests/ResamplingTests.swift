import Imaging
import Testing

@Suite struct ResamplingTests {
  @Test(
    "resized pixels are exactly Pillow's bicubic ones",
    arguments: [
      (24, 17), (61, 20), (19, 43), (122, 86), (7, 5), (1, 1), (90, 11), (60, 42), (59, 38),
      (59, 39),
    ])
  func resize(size: (width: Int, height: Int)) throws {
    let resized = try sourceImage().resized(width: size.width, height: size.height)
    let expected = try fixture("resize-\(size.width)x\(size.height).rgb")
    #expect(largestDifference(resized.pixels, expected) == 0)
  }

  @Test("the longer edge loses its fraction, as in torchvision")
  func shorterEdge() throws {
    let source = try sourceImage()  // 61 x 43
    let resized = try source.resized(shorterEdge: 17)
    #expect((resized.width, resized.height) == (24, 17))  // 17 * 61 / 43 = 24.1
    #expect(resized == source.resized(width: 24, height: 17))
    let upright = RGBImage(width: 43, height: 61, pixels: source.pixels)
    let turned = try upright.resized(shorterEdge: 17)
    #expect((turned.width, turned.height) == (17, 24))
  }

  @Test("a strip that would become too large is refused")
  func strip() throws {
    let strip = RGBImage(
      width: 60_000, height: 1, pixels: [UInt8](repeating: 9, count: 180_000))
    #expect(
      throws: ImageError.tooLarge(width: 30_720_000, height: 512, pixelLimit: 89_478_485)
    ) { try strip.resized(shorterEdge: 512) }
  }

  @Test("the middle begins at half the difference, rounded to even")
  func crop() {
    // (5 - 2) / 2 = 1.5 -> 2 and (7 - 2) / 2 = 2.5 -> 2
    let pixels = (0..<5 * 7).flatMap { index -> [UInt8] in [UInt8(index), 0, 0] }
    let image = RGBImage(width: 5, height: 7, pixels: pixels)
    let middle = image.croppedToCenter(width: 2, height: 2)
    #expect(middle.pixels == [12, 0, 0, 13, 0, 0, 17, 0, 0, 18, 0, 0])
  }

  @Test("normalized samples lie in -1...1")
  func normalization() {
    let image = RGBImage(width: 1, height: 1, pixels: [0, 51, 255])
    #expect(image.normalizedPixels() == [-1, 2 * (Float(51) / 255) - 1, 1])
  }
}
