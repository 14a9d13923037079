extension RGBImage {
  /// The image as a baseline JPEG file with full colour resolution (4:4:4).
  ///
  /// With the Independent JPEG Group's quantization tables, integer transform and colour factors
  /// and the standard Huffman tables, so that decoding gives the same pixels as for Pillow's
  /// `save(quality: quality, subsampling: 0)`.
  ///
  /// - Parameter quality: 1...100
  public func encodedAsJPEG(quality: Int) throws(ImageError) -> [UInt8] {
    guard 1...100 ~= quality else {
      throw .notEncoded(.jpeg, "a quality of \(quality), expected 1 to 100")
    }
    guard width <= 65_535, height <= 65_535 else {
      throw .notEncoded(.jpeg, "\(width) x \(height) pixels; a side can have at most 65535")
    }
    var encoder = JPEGEncoder(quality: quality)
    encoder.writeHeader(width: width, height: height)
    encoder.writeScan(self)
    return encoder.bytes
  }
}

/// Writes one JPEG file; see ``RGBImage/encodedAsJPEG(quality:)``.
private struct JPEGEncoder {
  /// The coding of a component.
  private struct Component {
    let steps: [Int]
    let dcCode: HuffmanCode
    let acCode: HuffmanCode
  }

  private(set) var bytes: [UInt8] = [0xff, 0xd8]
  private let luma: Component
  private let chroma: Component
  /// Bits not yet written, the last at the lowest position.
  private var pending: UInt64 = 0
  private var pendingCount = 0

  init(quality: Int) {
    luma = Component(
      steps: StandardTables.scaled(StandardTables.lumaSteps, quality: quality),
      dcCode: StandardTables.lumaDC, acCode: StandardTables.lumaAC)
    chroma = Component(
      steps: StandardTables.scaled(StandardTables.chromaSteps, quality: quality),
      dcCode: StandardTables.chromaDC, acCode: StandardTables.chromaAC)
  }

  // MARK: - Segments

  mutating func writeHeader(width: Int, height: Int) {
    writeSegment(0xe0, Array("JFIF\0".utf8) + [1, 1, 0, 0, 1, 0, 1, 0, 0])
    for (selector, component) in [luma, chroma].enumerated() {
      writeSegment(
        0xdb, [UInt8(selector)] + Zigzag.naturalOrder.map { UInt8(component.steps[$0]) })
    }
    let sides = [height, width].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    writeSegment(0xc0, [8] + sides + [3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])
    for (selector, component) in [luma, chroma].enumerated() {
      writeTable(component.dcCode, selector: UInt8(selector))
      writeTable(component.acCode, selector: 0x10 | UInt8(selector))
    }
    writeSegment(0xda, [3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0])
  }

  private mutating func writeTable(_ code: HuffmanCode, selector: UInt8) {
    writeSegment(0xc4, [selector] + code.counts + code.symbols)
  }

  private mutating func writeSegment(_ marker: UInt8, _ body: [UInt8]) {
    let length = body.count + 2
    bytes += [0xff, marker, UInt8(length >> 8), UInt8(length & 255)] + body
  }

  // MARK: - Entropy-coded data

  mutating func writeScan(_ image: RGBImage) {
    var predictors: [Int32] = [0, 0, 0]
    for row in 0..<image.height.dividedRoundingUp(by: 8) {
      for column in 0..<image.width.dividedRoundingUp(by: 8) {
        for (index, block) in Self.blocks(of: image, column: column, row: row).enumerated() {
          var coefficients = block
          ForwardDCT.transform(&coefficients)
          writeBlock(coefficients, index == 0 ? luma : chroma, predictor: &predictors[index])
        }
      }
    }
    // The last byte is padded with ones.
    write(0x7f, count: 7)
    bytes += [0xff, 0xd9]
  }

  /// The Y, Cb and Cr samples of a block, less 128; the image's last row and column continue.
  private static func blocks(of image: RGBImage, column: Int, row: Int) -> [[Int32]] {
    var blocks = [[Int32]](repeating: [Int32](repeating: 0, count: 64), count: 3)
    for index in 0..<64 {
      let x = min(8 * column + index % 8, image.width - 1)
      let y = min(8 * row + index / 8, image.height - 1)
      let pixel = 3 * (y * image.width + x)
      let red = Int32(image.pixels[pixel])
      let green = Int32(image.pixels[pixel + 1])
      let blue = Int32(image.pixels[pixel + 2])
      // 0.299, 0.587, 0.114 with 16 fractional bits.
      blocks[0][index] = (19_595 * red + 38_470 * green + 7_471 * blue + 32_768) >> 16 - 128
      // -0.16874, -0.33126, 0.5 and 0.5, -0.41869, -0.08131.
      blocks[1][index] = (-11_059 * red - 21_709 * green + 32_768 * blue + 32_767) >> 16
      blocks[2][index] = (32_768 * red - 27_439 * green - 5_329 * blue + 32_767) >> 16
    }
    return blocks
  }

  private mutating func writeBlock(
    _ coefficients: [Int32], _ component: Component, predictor: inout Int32
  ) {
    func quantized(_ place: Int) -> Int32 {
      // The transform gives 8 times the coefficients.
      let divisor = Int32(8 * component.steps[place])
      let magnitude = (abs(coefficients[place]) + divisor / 2) / divisor
      return coefficients[place] < 0 ? -magnitude : magnitude
    }

    let mean = quantized(0)
    writeValue(mean - predictor, run: 0, component.dcCode)
    predictor = mean
    var zeros: UInt8 = 0
    for place in Zigzag.naturalOrder.dropFirst() {
      let value = quantized(place)
      if value == 0 {
        zeros += 1
        continue
      }
      while zeros > 15 {
        writeSymbol(0xf0, component.acCode)
        zeros -= 16
      }
      writeValue(value, run: zeros, component.acCode)
      zeros = 0
    }
    if zeros > 0 { writeSymbol(0, component.acCode) }
  }

  /// A value's run of zeros and size, then its bits (T.81, table F.1).
  private mutating func writeValue(_ value: Int32, run: UInt8, _ code: HuffmanCode) {
    let size = 32 - abs(value).leadingZeroBitCount
    writeSymbol(run << 4 | UInt8(size), code)
    let bits = value < 0 ? value + 1 << size - 1 : value
    write(UInt64(bits), count: size)
  }

  private mutating func writeSymbol(_ symbol: UInt8, _ code: HuffmanCode) {
    write(UInt64(code.codes[Int(symbol)]), count: Int(code.lengths[Int(symbol)]))
  }

  private mutating func write(_ bits: UInt64, count: Int) {
    pending = pending << UInt64(count) | bits
    pendingCount += count
    while pendingCount >= 8 {
      pendingCount -= 8
      let byte = UInt8(truncatingIfNeeded: pending >> UInt64(pendingCount))
      bytes.append(byte)
      // A zero after 0xff distinguishes data from a marker.
      if byte == 0xff { bytes.append(0) }
    }
  }
}
