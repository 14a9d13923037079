extension RGBImage {
  /// Returns the image at another size, equal to `PIL.Image.resize((width, height), BICUBIC)`.
  ///
  /// Cubic convolution with a = -0.5, widened by the scale when shrinking (antialiasing). Rows are
  /// resampled first, then columns, each with weights of 22 fractional bits and a result of 8 bits;
  /// in reverse order if the height shrinks by more than twice as much as the width (as in Pillow
  /// 13; earlier versions always started with rows).
  public func resized(width newWidth: Int, height newHeight: Int) -> RGBImage {
    precondition(newWidth > 0 && newHeight > 0, "an image of \(newWidth) x \(newHeight) pixels")
    if newHeight < height, height - newHeight > 2 * (width - newWidth) {
      return withResampledColumns(height: newHeight).withResampledRows(width: newWidth)
    }
    return withResampledRows(width: newWidth).withResampledColumns(height: newHeight)
  }

  /// Returns the image with a shorter edge of `edge` pixels and its aspect ratio kept.
  ///
  /// The longer edge is `edge * longer / shorter` rounded down, as in torchvision. An image so
  /// narrow that this exceeds the limit is rejected.
  public func resized(
    shorterEdge edge: Int, limits: ImageLimits = ImageLimits()
  ) throws(ImageError) -> RGBImage {
    let longerEdge = edge * max(width, height) / min(width, height)
    let (newWidth, newHeight) = width <= height ? (edge, longerEdge) : (longerEdge, edge)
    try limits.check(width: newWidth, height: newHeight)
    return resized(width: newWidth, height: newHeight)
  }

  /// Returns the image with a longer edge of at most `edge` pixels, its aspect ratio kept.
  public func reduced(toLongerEdge edge: Int) -> RGBImage {
    let longer = max(width, height)
    guard longer > edge else { return self }
    return resized(width: max(1, width * edge / longer), height: max(1, height * edge / longer))
  }

  /// Returns the centre of the image, positioned as in torchvision's `CenterCrop`.
  ///
  /// Half the difference is rounded to even. The image must be at least as large.
  public func croppedToCenter(width newWidth: Int, height newHeight: Int) -> RGBImage {
    precondition(
      1...width ~= newWidth && 1...height ~= newHeight,
      "a middle of \(newWidth) x \(newHeight) pixels out of \(width) x \(height)")
    let left = Self.margin(width - newWidth)
    let top = Self.margin(height - newHeight)
    var cropped: [UInt8] = []
    cropped.reserveCapacity(3 * newWidth * newHeight)
    for y in top..<top + newHeight {
      let start = 3 * (y * width + left)
      cropped.append(contentsOf: pixels[start..<start + 3 * newWidth])
    }
    return RGBImage(width: newWidth, height: newHeight, pixels: cropped)
  }

  /// Half of `difference`, rounded to even.
  private static func margin(_ difference: Int) -> Int {
    Int((Double(difference) / 2).rounded(.toNearestOrEven))
  }

  /// Returns the samples as floats in -1...1: `2 * sample / 255 - 1`, `[height, width, 3]`.
  public func normalizedPixels() -> [Float] {
    let levels = (0...255).map { 2 * (Float($0) / 255) - 1 }
    return pixels.map { levels[Int($0)] }
  }

  private func withResampledRows(width newWidth: Int) -> RGBImage {
    if newWidth == width { return self }
    let windows = ResamplingWindows(from: width, to: newWidth)
    let resampled = [UInt8](unsafeUninitializedCapacity: 3 * newWidth * height) {
      output, initializedCount in
      pixels.withUnsafeBufferPointer { input in
        windows.weights.withUnsafeBufferPointer { weights in
          for y in 0..<height {
            let row = input[(3 * y * width)..<(3 * (y + 1) * width)]
            for x in 0..<newWidth {
              let window = windows.inputs[x]
              var sums = SIMD4<Int32>(repeating: 1 << 21)
              var source = row.startIndex + 3 * window.lowerBound
              let firstWeight = x * windows.capacity
              for tap in 0..<window.count {
                let pixel = SIMD4(
                  Int32(row[source]), Int32(row[source &+ 1]), Int32(row[source &+ 2]), 0)
                sums &+= pixel &* weights[firstWeight &+ tap]
                source &+= 3
              }
              let target = 3 * (y * newWidth + x)
              output[target] = Self.level(sums[0])
              output[target + 1] = Self.level(sums[1])
              output[target + 2] = Self.level(sums[2])
            }
          }
        }
      }
      initializedCount = output.count
    }
    return RGBImage(width: newWidth, height: height, pixels: resampled)
  }

  private func withResampledColumns(height newHeight: Int) -> RGBImage {
    if newHeight == height { return self }
    let windows = ResamplingWindows(from: height, to: newHeight)
    let rowCount = 3 * width
    var sums = [Int32](repeating: 0, count: rowCount)
    let resampled = [UInt8](unsafeUninitializedCapacity: rowCount * newHeight) {
      output, initializedCount in
      pixels.withUnsafeBufferPointer { input in
        for y in 0..<newHeight {
          sums.withUnsafeMutableBufferPointer { sums in
            sums.update(repeating: 1 << 21)
            for (tap, source) in windows.inputs[y].enumerated() {
              let weight = windows.weights[y * windows.capacity + tap]
              let row = input[(source * rowCount)..<((source + 1) * rowCount)]
              for (x, sample) in zip(sums.indices, row) { sums[x] &+= Int32(sample) &* weight }
            }
            for x in sums.indices { output[y &* rowCount &+ x] = Self.level(sums[x]) }
          }
        }
      }
      initializedCount = output.count
    }
    return RGBImage(width: width, height: newHeight, pixels: resampled)
  }

  /// A sum of weighted samples, without its fractional bits, in 0...255.
  @inline(__always)
  private static func level(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(255, sum &>> 22)))
  }
}

/// The input samples of each output sample, with their weights.
private struct ResamplingWindows {
  /// By output sample: the input samples within the filter's reach.
  private(set) var inputs: [Range<Int>] = []
  /// Places for weights of each output sample.
  let capacity: Int
  /// `[output, capacity]`: weights of 22 fractional bits, those of one output adding up to 1.
  private(set) var weights: [Int32] = []

  init(from inputCount: Int, to outputCount: Int) {
    let scale = Double(inputCount) / Double(outputCount)
    let stretch = max(scale, 1)
    let reach = 2 * stretch
    capacity = Int(reach.rounded(.up)) * 2 + 1
    for output in 0..<outputCount {
      let center = (Double(output) + 0.5) * scale
      let first = max(Int(center - reach + 0.5), 0)
      let end = min(Int(center + reach + 0.5), inputCount)
      let values = (first..<end).map {
        Self.cubic((Double($0) - center + 0.5) * (1 / stretch))
      }
      let total = values.reduce(0, +)
      inputs.append(first..<end)
      for value in values {
        let scaled = (total == 0 ? value : value / total) * Double(1 << 22)
        weights.append(Int32(scaled + (scaled < 0 ? -0.5 : 0.5)))
      }
      weights.append(contentsOf: repeatElement(0, count: capacity - values.count))
    }
  }

  /// Cubic convolution with a = -0.5 (Keys 1981).
  private static func cubic(_ distance: Double) -> Double {
    let x = abs(distance)
    if x < 1 { return ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * -0.5 }
    return 0
  }
}
