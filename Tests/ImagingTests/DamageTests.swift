import Imaging
import Testing

@Suite struct DamageTests {
  static let mutated = [
    "baseline-420.jpg", "progressive-422.jpg", "progressive-many.jpg", "restart-blocks.jpg",
    "ycck.jpg", "sampling-mixed.jpg", "orientation-6.jpg", "rgba-interlaced.png",
    "palette-alpha.png", "grey-16-bit.png",
  ]

  @Test("a mutated file is decoded or refused, by a check alike, never a crash", arguments: mutated)
  func mutations(name: String) throws {
    let original = try fixture(name)
    var limits = ImageLimits()
    limits.pixelCount = 1 << 20
    var generator = SeededGenerator(seed: 1)
    var refusals = 0
    for _ in 0..<2000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes.remove(at: place)
        default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
        }
      }
      let check = Result { () throws(ImageError) in
        try ImageHeader(checking: bytes, limits: limits)
      }
      do throws(ImageError) {
        let image = try RGBImage(decoding: bytes, limits: limits)
        #expect(image.pixels.count == 3 * image.width * image.height)
        let checked = try check.get()
        #expect(checked.width == image.width && checked.height == image.height)
      } catch {
        #expect(check == .failure(error))
        refusals += 1
      }
    }
    #expect(refusals > 200)  // of 2,000: the damage was reached
  }

  @Test(
    "a file cut anywhere is refused",
    arguments: [
      "baseline-420.jpg", "progressive-many.jpg", "restart-rows.jpg", "rgb-interlaced.png",
    ])
  func truncation(name: String) throws {
    let bytes = try fixture(name)
    for count in 0..<bytes.count {
      #expect(throws: ImageError.self, "\(count) of \(bytes.count) bytes") {
        try RGBImage(decoding: Array(bytes.prefix(count)))
      }
    }
  }

  @Test("a size beyond the limit is refused from the header")
  func pixelLimit() throws {
    var bytes = try fixture("baseline-420.jpg")
    let frame = try #require(place(of: [0xff, 0xc0], in: bytes))
    bytes.replaceSubrange(frame + 5..<frame + 9, with: [0xff, 0xdc, 0xff, 0xdc])
    #expect(throws: ImageError.tooLarge(width: 65_500, height: 65_500, pixelLimit: 89_478_485)) {
      try RGBImage(decoding: bytes)
    }
    #expect(try ImageHeader(bytes).width == 65_500)

    var png = try fixture("rgb.png")
    png.replaceSubrange(16..<24, with: [0, 1, 0, 0, 0, 1, 0, 0])
    #expect(throws: ImageError.tooLarge(width: 65_536, height: 65_536, pixelLimit: 89_478_485)) {
      try RGBImage(decoding: png)
    }
  }

  @Test("a few bytes that declare many pixels are refused before they are allocated")
  func smallBombs() throws {
    var bytes = try fixture("baseline-420.jpg")
    let frame = try #require(place(of: [0xff, 0xc0], in: bytes))
    bytes.replaceSubrange(frame + 5..<frame + 9, with: [0x20, 0, 0x20, 0])
    #expect(throws: ImageError.self) { try RGBImage(decoding: bytes) }
    var png = try fixture("rgb.png")
    png.replaceSubrange(16..<24, with: [0, 0, 0x20, 0, 0, 0, 0x20, 0])
    #expect(throws: ImageError.self) { try RGBImage(decoding: png) }
  }

  @Test("more scans than the limit are refused")
  func scanLimit() throws {
    var limits = ImageLimits()
    limits.scanCount = 12
    #expect(throws: ImageError.self) {
      try RGBImage(decoding: fixture("progressive-many.jpg"), limits: limits)
    }
    limits.scanCount = 13
    _ = try RGBImage(decoding: fixture("progressive-many.jpg"), limits: limits)
  }

  private static func notRead(_ format: String) -> String {
    "\(format), which is not supported; convert it, for example: magick 'IMAGE[0]' -auto-orient IMAGE.png"
  }

  @Test("other formats are refused by their name")
  func otherFormats() {
    let beginnings: [(String, [UInt8])] = [
      (Self.notRead("GIF"), Array("GIF89a".utf8)),
      (Self.notRead("AVIF"), [0, 0, 0, 28] + Array("ftypavif".utf8)),
      ("it is empty, not an image: the download or copy failed", []),
      ("its first bytes match no known format", [1, 2]),
      ("all of its bytes are 0", [0, 0, 0]),
      ("it is text, not an image: did the download fail?", Array("root:x:0:0".utf8)),
      (
        "it is a Git LFS pointer, not the file itself: git lfs pull",
        Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".utf8)
      ),
    ]
    for (name, bytes) in beginnings {
      #expect(throws: ImageError.unrecognized(name)) { try RGBImage(decoding: bytes) }
      #expect(throws: ImageError.unrecognized(name)) { try ImageHeader(bytes) }
    }
  }

  /// One change to a good file each, and a word of the error it must give.
  static let faults: [(String, [UInt8], [UInt8], String)] = [
    (
      "no quantization table", [0xff, 0xdb, 0x00, 0x43, 0x00], [0xff, 0xfe, 0x00, 0x43, 0x00],
      "quantization table 0"
    ),
    (
      "no Huffman table", [0xff, 0xc4, 0x00, 0x1f, 0x00], [0xff, 0xfe, 0x00, 0x1f, 0x00],
      "DC table 0"
    ),
    (
      "over-subscribed codes", [0x1f, 0x00, 0x00, 0x01, 0x05], [0x1f, 0x00, 0x03, 0x01, 0x02],
      "more codes than fit"
    ),
    ("12 bits", [0xff, 0xc0, 0x00, 0x11, 0x08], [0xff, 0xc0, 0x00, 0x11, 0x0c], "12 bits"),
    ("a component of factor 0", [0x01, 0x22, 0x00], [0x01, 0x02, 0x00], "sampling factors"),
    ("a component of factor 5", [0x01, 0x22, 0x00], [0x01, 0x52, 0x00], "sampling factors"),
    (
      "two components of one name", [0x02, 0x11, 0x01, 0x03, 0x11, 0x01],
      [0x02, 0x11, 0x01, 0x02, 0x11, 0x01], "one identifier"
    ),
    (
      "a fractional ratio", [0x01, 0x22, 0x00, 0x02, 0x11], [0x01, 0x32, 0x00, 0x02, 0x21],
      "beside 3 x 2"
    ),
    (
      "a scan of an absent component", [0xff, 0xda, 0x00, 0x0c, 0x03, 0x01],
      [0xff, 0xda, 0x00, 0x0c, 0x03, 0x09], "component 9"
    ),
    ("lossless coding", [0xff, 0xc0], [0xff, 0xc3], "lossless"),
    ("no end of image", [0xff, 0xd9], [], "ends inside a scan"),
  ]

  @Test("a fault is named", arguments: faults)
  func fault(_ name: String, _ good: [UInt8], _ bad: [UInt8], _ words: String) throws {
    var bytes = try fixture("baseline-420.jpg")
    let start = try #require(place(of: good, in: bytes))
    bytes.replaceSubrange(start..<start + good.count, with: bad)
    let error = try #require(throws: ImageError.self) { try RGBImage(decoding: bytes) }
    #expect(error.description.contains(words), "\(name): \(error)")
  }

  @Test("restart markers out of order, or too few, are damage")
  func restartMarkers() throws {
    let bytes = try fixture("restart-blocks.jpg")
    let marker = try #require(place(of: [0xff, 0xd1], in: bytes))
    var swapped = bytes
    swapped[marker + 1] = 0xd2
    #expect(throws: ImageError.self) { try RGBImage(decoding: swapped) }
    let last = try #require(place(of: [0xff, 0xd0], in: bytes))
    #expect(throws: ImageError.self) {
      try RGBImage(decoding: Array(bytes[..<last] + [0xff, 0xd9]))
    }
  }

  private func place(of pattern: [UInt8], in bytes: [UInt8]) -> Int? {
    bytes.firstRange(of: pattern)?.lowerBound
  }
}
