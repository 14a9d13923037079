import Imaging
import Testing

@Suite struct JPEGEncoderTests {
  @Test(
    "what was encoded decodes to the pixels of Pillow's file of that quality",
    arguments: [30, 85, 95])
  func pixels(quality: Int) throws {
    let encoded = try sourceImage().encodedAsJPEG(quality: quality)
    let decoded = try RGBImage(decoding: encoded)
    #expect(largestDifference(decoded.pixels, try fixture("encoded-\(quality).rgb")) == 0)
  }

  @Test("a smooth image at quality 100 comes back within two levels", arguments: [1, 7, 8, 33])
  func closeness(width: Int) throws {
    let pixels = (0..<width * 9).flatMap { index -> [UInt8] in
      let level = UInt8(100 + 2 * (index % width) + index / width)
      return [level, level &+ 40, level &- 40]
    }
    let source = RGBImage(width: width, height: 9, pixels: pixels)
    let decoded = try RGBImage(decoding: source.encodedAsJPEG(quality: 100))
    #expect(largestDifference(decoded.pixels, source.pixels) <= 2)
  }

  @Test("a quality outside 1 to 100 is refused", arguments: [0, 101])
  func quality(_ quality: Int) throws {
    #expect(throws: ImageError.self) { try sourceImage().encodedAsJPEG(quality: quality) }
  }
}
