/// The colour space of a JPEG's components.
enum JPEGColors {
  case grey
  case rgb
  case ycc
  case cmyk
  case ycck
}

extension RGBImage {
  /// Combines a decoded JPEG's components to pixels.
  ///
  /// YCbCr is converted with libjpeg's factors of 16 fractional bits. CMYK is taken as inverted
  /// (Adobe's habit) and converted as Pillow does.
  init(frame: JPEGFrame, planes: [Plane<UInt8>], colors: JPEGColors) throws(ImageError) {
    let upsamplers = zip(frame.components, planes).map { component, plane in
      Upsampler(component, of: frame, plane: plane)
    }
    let width = frame.width
    let pixels = [UInt8](unsafeUninitializedCapacity: 3 * width * frame.height) {
      buffer, initializedCount in
      guard var output = buffer.baseAddress else { return }
      for y in 0..<frame.height {
        let rows = upsamplers.map { $0.row(y) }
        convert(rows, width: width, colors: colors, into: output)
        output += 3 * width
      }
      initializedCount = 3 * width * frame.height
    }
    self.init(width: width, height: frame.height, pixels: pixels)
  }
}

private func convert(
  _ rows: [UnsafePointer<UInt8>], width: Int, colors: JPEGColors,
  into output: UnsafeMutablePointer<UInt8>
) {
  switch colors {
  case .grey: interleave(rows[0], rows[0], rows[0], width: width, into: output)
  case .rgb: interleave(rows[0], rows[1], rows[2], width: width, into: output)
  case .ycc: convertYCC(rows[0], rows[1], rows[2], width: width, into: output)
  case .cmyk:
    interleave(rows[0], rows[1], rows[2], width: width, into: output)
    multiply(output, by: rows[3], width: width)
  case .ycck:
    convertYCC(rows[0], rows[1], rows[2], width: width, into: output)
    // libjpeg treats YCC as RGB, the complement of CMY.
    for index in 0..<3 * width { output[index] = 255 &- output[index] }
    multiply(output, by: rows[3], width: width)
  }
}

private func interleave(
  _ red: UnsafePointer<UInt8>, _ green: UnsafePointer<UInt8>, _ blue: UnsafePointer<UInt8>,
  width: Int, into output: UnsafeMutablePointer<UInt8>
) {
  for x in 0..<width {
    output[3 &* x] = red[x]
    output[3 &* x &+ 1] = green[x]
    output[3 &* x &+ 2] = blue[x]
  }
}

private func convertYCC(
  _ luma: UnsafePointer<UInt8>, _ blueDifference: UnsafePointer<UInt8>,
  _ redDifference: UnsafePointer<UInt8>, width: Int, into output: UnsafeMutablePointer<UInt8>
) {
  for x in 0..<width {
    let y = Int32(luma[x])
    let cb = Int32(blueDifference[x]) &- 128
    let cr = Int32(redDifference[x]) &- 128
    let red = y &+ (91_881 &* cr &+ 32_768) &>> 16  // 1.40200
    let green = y &+ (-22_554 &* cb &- 46_802 &* cr &+ 32_768) &>> 16  // 0.34414, 0.71414
    let blue = y &+ (116_130 &* cb &+ 32_768) &>> 16  // 1.77200
    output[3 &* x] = clamped(red)
    output[3 &* x &+ 1] = clamped(green)
    output[3 &* x &+ 2] = clamped(blue)
  }
}

@inline(__always)
private func clamped(_ value: Int32) -> UInt8 {
  UInt8(truncatingIfNeeded: max(0, min(255, value)))
}

/// RGB of inverted CMY and inverted K: `k - (255 - c) * k / 255`, the quotient rounded.
private func multiply(
  _ colors: UnsafeMutablePointer<UInt8>, by black: UnsafePointer<UInt8>, width: Int
) {
  for x in 0..<width {
    let k = Int32(black[x])
    for channel in 0..<3 {
      let sum = (255 &- Int32(colors[3 &* x &+ channel])) &* k &+ 128
      colors[3 &* x &+ channel] = clamped(k &- (sum &>> 8 &+ sum) &>> 8)
    }
  }
}
