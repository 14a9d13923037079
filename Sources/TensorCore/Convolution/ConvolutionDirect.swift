import HostResources

/// The pixels of an image in memory: a pointer to the first and the strides between them.
struct ImagePointer {
  var pointer: UnsafeMutablePointer<Float>
  var imageStride: Int
  var rowStride: Int
  var pixelStride: Int

  /// A dense image `[batch, height, width, channels]`.
  init(_ pointer: UnsafeMutablePointer<Float>, height: Int, width: Int, channels: Int) {
    self.pointer = pointer
    imageStride = height * width * channels
    rowStride = width * channels
    pixelStride = channels
  }

  /// Only every `step`th pixel, beginning with the one at (`y`, `x`).
  func every(_ step: Int, y: Int, x: Int) -> ImagePointer {
    var image = self
    image.pointer += y * rowStride + x * pixelStride
    image.rowStride *= step
    image.pixelStride *= step
    return image
  }
}

/// An image with a border of zeros: a copy, unless the border is empty.
struct PaddedImage {
  let image: ImagePointer
  private let storage: HostMemory?

  init(
    _ source: UnsafePointer<Float>, batch: Int, height: Int, width: Int, channels: Int,
    _ border: ImageBorder
  ) {
    let source = UnsafeMutablePointer(mutating: source)
    let count = border.paddedCount(batch, height: height, width: width, channels: channels)
    guard let count else {
      image = ImagePointer(source, height: height, width: width, channels: channels)
      storage = nil
      return
    }
    let storage = HostMemory(count: count)
    let (top, left, right) = (border.top, border.left, border.right)
    let paddedHeight = top + height + border.bottom
    let paddedWidth = left + width + right
    let rowCount = paddedWidth * channels
    let target = storage.pointer
    parallelRanges(batch * paddedHeight, grain: max(1, elementGrain / rowCount)) { range in
      for row in range {
        let (index, paddedY) = row.quotientAndRemainder(dividingBy: paddedHeight)
        let line = target + row * rowCount
        guard paddedY >= top, paddedY < top + height else {
          line.update(repeating: 0, count: rowCount)
          continue
        }
        line.update(repeating: 0, count: left * channels)
        (line + left * channels).update(
          from: source + (index * height + paddedY - top) * width * channels,
          count: width * channels)
        (line + (left + width) * channels).update(repeating: 0, count: right * channels)
      }
    }
    image = ImagePointer(
      target, height: paddedHeight, width: paddedWidth, channels: channels)
    self.storage = storage
  }
}

/// A convolution without padding, in tiles of some pixels and channels read directly from the
/// image.
///
/// In channels-last memory a row of the kernel meets one contiguous range of the image.
struct DirectConvolution {
  let input: ImagePointer
  let output: ImagePointer
  let batch: Int
  /// Of the output.
  let height: Int
  let width: Int
  let kernelHeight: Int
  /// Floats in one row of the kernel, and the distance in floats between consecutive image rows.
  let kernelRowCount: Int
  let kernelRowStride: Int

  /// Pixels whose input stays in cache while all panels pass.
  private static let blockSize = 48

  func run(_ panels: MatrixPanels, initial: UnsafePointer<Float>) {
    let count = batch * height * width
    let size = Self.blockSize
    let work = size * panels.source.rows * panels.source.columns
    parallelBlocks((count + size - 1) / size, work: work) { blocks in
      let worker = TileWorker(panels.source.form)
      for block in blocks {
        let stretches = stretches(of: block * size..<min(count, (block + 1) * size))
        for panel in 0..<panels.source.panelCount {
          for stretch in stretches {
            multiply(panels, panel, stretch, initial: initial, worker)
          }
        }
      }
    }
  }

  /// Adjacent pixels of one output row, and where they begin in the input and the output.
  private struct Stretch {
    let input: UnsafePointer<Float>
    let output: UnsafeMutablePointer<Float>
    let count: Int
  }

  /// Splits a range of all pixels at row ends.
  private func stretches(of pixels: Range<Int>) -> [Stretch] {
    var stretches: [Stretch] = []
    var pixel = pixels.lowerBound
    while pixel < pixels.upperBound {
      let (line, x) = pixel.quotientAndRemainder(dividingBy: width)
      let (index, y) = line.quotientAndRemainder(dividingBy: height)
      let count = min(width - x, pixels.upperBound - pixel)
      stretches.append(
        Stretch(
          input: UnsafePointer(
            input.pointer + index * input.imageStride + y * input.rowStride
              + x * input.pixelStride),
          output: output.pointer + index * output.imageStride + y * output.rowStride
            + x * output.pixelStride,
          count: count))
      pixel += count
    }
    return stretches
  }

  private func multiply(
    _ panels: MatrixPanels, _ panel: Int, _ stretch: Stretch, initial: UnsafePointer<Float>,
    _ worker: TileWorker
  ) {
    let width = panels.source.width(panel)
    let column = panel * panels.source.form.columns
    let product = TileProduct(
      runCount: kernelHeight, runLength: kernelRowCount, leftStep: 1,
      leftRunStride: kernelRowStride, rightStep: width, rightRunStride: kernelRowCount * width)
    worker.multiply(
      product, stretch.input, leftStride: input.pixelStride, rows: stretch.count,
      panels.pointer(panel), width: width, columns: min(width, panels.source.columns - column),
      into: stretch.output + column, outputStride: output.pixelStride, isAdding: false,
      initial: initial + column)
  }
}

func convolveDirectly(
  _ input: UnsafePointer<Float>, _ weights: ConvolutionWeights, bias: UnsafePointer<Float>?,
  into output: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape
) {
  let padded = PaddedImage(
    input, batch: shape.batch, height: shape.height, width: shape.width,
    channels: shape.inputChannels, shape.border)
  let initial = paddedBias(bias, channels: shape.outputChannels)
  let convolution = DirectConvolution(
    input: padded.image.every(shape.stride, y: 0, x: 0),
    output: ImagePointer(
      output, height: shape.outputHeight, width: shape.outputWidth,
      channels: shape.outputChannels),
    batch: shape.batch, height: shape.outputHeight, width: shape.outputWidth,
    kernelHeight: shape.kernelHeight, kernelRowCount: shape.kernelWidth * shape.inputChannels,
    kernelRowStride: padded.image.rowStride)
  convolution.run(weights.forwardPanels(), initial: initial.pointer)
}

/// Computes an ordinary convolution of the output's gradient for every phase of the stride.
///
/// In one dimension, the input pixel `a + s u` of phase `a` takes part in output `u - j` through kernel element `a + s j`.
func convolveInputGradientDirectly(
  _ outputGradient: UnsafePointer<Float>, _ weights: ConvolutionWeights,
  into inputGradient: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape
) {
  let step = shape.stride
  let border = shape.inputGradientBorder
  let padded = PaddedImage(
    outputGradient, batch: shape.batch, height: shape.outputHeight, width: shape.outputWidth,
    channels: shape.outputChannels, border)
  let target = ImagePointer(
    inputGradient, height: shape.height, width: shape.width, channels: shape.inputChannels)
  let zeros = paddedBias(nil, channels: shape.inputChannels)

  for y in 0..<min(step, shape.height) {
    for x in 0..<min(step, shape.width) {
      // The first pixels of this phase are (y, x) in the input.
      let phase = shape.phase(y: y, x: x)
      let taps = phase.taps(shape.kernelHeight, shape.kernelWidth)
      let first = (
        y: (y + shape.paddingTop) / step - (taps.height - 1) + border.top,
        x: (x + shape.paddingLeft) / step - (taps.width - 1) + border.left
      )
      let isTouched = taps.height > 0 && taps.width > 0
      let convolution = DirectConvolution(
        input: isTouched ? padded.image.every(1, y: first.y, x: first.x) : padded.image,
        output: target.every(step, y: y, x: x), batch: shape.batch,
        height: (shape.height - y + step - 1) / step, width: (shape.width - x + step - 1) / step,
        kernelHeight: isTouched ? taps.height : 0,
        kernelRowCount: taps.width * shape.outputChannels, kernelRowStride: padded.image.rowStride)
      convolution.run(weights.gradientPanels(phase), initial: zeros.pointer)
    }
  }
}

/// Rows and columns of zeros around an image.
struct ImageBorder {
  let top: Int
  let left: Int
  let bottom: Int
  let right: Int

  /// Returns the floats of images with it; nil: it is empty, and they are read in place.
  func paddedCount(_ batch: Int, height: Int, width: Int, channels: Int) -> Int? {
    guard max(top, left, bottom, right) > 0 else { return nil }
    return batch * (top + height + bottom) * (left + width + right) * channels
  }
}

extension ConvolutionShape {
  /// The padding of the input.
  var border: ImageBorder {
    ImageBorder(
      top: paddingTop, left: paddingLeft, bottom: paddingBottom, right: paddingRight)
  }

  /// Returns the phase of the input pixels at a distance of whole strides from one.
  func phase(y: Int, x: Int) -> ConvolutionPhase {
    ConvolutionPhase(stride: stride, y: (y + paddingTop) % stride, x: (x + paddingLeft) % stride)
  }

  /// The border that any phase of the input's gradient reads around the output.
  var inputGradientBorder: ImageBorder {
    ImageBorder(
      top: (kernelHeight - 1) / stride, left: (kernelWidth - 1) / stride,
      bottom: max(0, (height - 1 + paddingTop) / stride - (outputHeight - 1)),
      right: max(0, (width - 1 + paddingLeft) / stride - (outputWidth - 1)))
  }
}

/// Returns the bias, or zeros, padded to whole vectors.
func paddedBias(_ bias: UnsafePointer<Float>?, channels: Int) -> HostMemory {
  let storage = HostMemory(count: PanelSource.padded(channels))
  storage.pointer.update(repeating: 0, count: storage.count)
  if let bias { storage.pointer.update(from: bias, count: channels) }
  return storage
}
