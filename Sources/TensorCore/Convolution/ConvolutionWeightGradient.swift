import HostResources

/// Sums over all pixels, in tiles of some kernel elements and output channels.
///
/// Each thread owns some rows of the result, so the order of summation does not depend on the number
/// of threads.
func convolveWeightGradientDirectly(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into weightGradient: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape, form: TileForm
) {
  let padded = PaddedImage(
    input, batch: shape.batch, height: shape.height, width: shape.width,
    channels: shape.inputChannels, shape.border)
  let channels = shape.paddedOutputChannels
  guard channels > shape.outputChannels else {
    weightGradient.update(repeating: 0, count: shape.weightCount)
    return WeightGradient(
      form: form, shape: shape, input: padded.image, outputGradient: outputGradient,
      channels: channels, result: weightGradient
    ).run()
  }
  // Pad the channels to whole vectors, and truncate the result.
  let gradient = HostMemory(count: shape.pixelCount * channels)
  copyRows(
    outputGradient, width: shape.outputChannels, into: gradient.pointer, width: channels,
    count: shape.pixelCount)
  let result = HostMemory(count: shape.kernelRowCount * channels)
  result.pointer.update(repeating: 0, count: result.count)
  WeightGradient(
    form: form, shape: shape, input: padded.image, outputGradient: gradient.pointer,
    channels: channels,
    result: result.pointer
  ).run()
  copyRows(
    result.pointer, width: channels, into: weightGradient, width: shape.outputChannels,
    count: shape.kernelRowCount)
}

/// Copies rows between different widths, truncated or padded with zeros.
private func copyRows(
  _ source: UnsafePointer<Float>, width: Int, into target: UnsafeMutablePointer<Float>,
  width targetWidth: Int, count: Int
) {
  let used = min(width, targetWidth)
  for row in 0..<count {
    let line = target + row * targetWidth
    line.update(from: source + row * width, count: used)
    (line + used).update(repeating: 0, count: targetWidth - used)
  }
}

private struct WeightGradient {
  let form: TileForm
  let shape: ConvolutionShape
  /// The padded input.
  let input: ImagePointer
  let outputGradient: UnsafePointer<Float>
  /// Output channels, a multiple of 8.
  let channels: Int
  /// `[kernelHeight, kernelWidth, inputChannels, channels]`, zeros at first.
  let result: UnsafeMutablePointer<Float>

  /// Output pixels summed in registers before they are added to the result: their gradients stay in
  /// cache, and rounding errors stay small.
  private static let pixelsAtOnce = 256

  func run() {
    let kernelRowCount = shape.kernelWidth * shape.inputChannels
    let tilesPerRow = (kernelRowCount + form.rows - 1) / form.rows
    let work = shape.multiplications / max(1, shape.kernelHeight * tilesPerRow)
    parallelBlocks(shape.kernelHeight * tilesPerRow, work: work) { tiles in
      let rowsAtOnce = max(1, Self.pixelsAtOnce / shape.outputWidth)
      let worker = TileWorker(form)
      for index in 0..<shape.batch {
        for start in stride(from: 0, to: shape.outputHeight, by: rowsAtOnce) {
          let rows = start..<min(start + rowsAtOnce, shape.outputHeight)
          for column in stride(from: 0, to: channels, by: form.columns) {
            for tile in tiles {
              let (kernelRow, part) = tile.quotientAndRemainder(dividingBy: tilesPerRow)
              add(
                index, rows, kernelRow, part * form.rows, column: column,
                kernelRowCount: kernelRowCount, worker)
            }
          }
        }
      }
    }
  }

  /// Adds the contribution of some rows of one image to the elements of a kernel row from `element`
  /// on.
  private func add(
    _ index: Int, _ rows: Range<Int>, _ kernelRow: Int, _ element: Int, column: Int,
    kernelRowCount: Int, _ worker: TileWorker
  ) {
    let product = TileProduct(
      runCount: rows.count, runLength: shape.outputWidth,
      leftStep: shape.stride * input.pixelStride, leftRunStride: shape.stride * input.rowStride,
      rightStep: channels, rightRunStride: shape.outputWidth * channels)
    let left = UnsafePointer(
      input.pointer + index * input.imageStride
        + (rows.lowerBound * shape.stride + kernelRow) * input.rowStride)
    let right =
      outputGradient + (index * shape.outputHeight + rows.lowerBound) * shape.outputWidth * channels
      + column
    let output = result + kernelRow * kernelRowCount * channels + column

    worker.multiply(
      product, left + element, leftStride: 1,
      rows: min(form.rows, kernelRowCount - element), right,
      width: min(form.columns, channels - column), into: output + element * channels,
      outputStride: channels, isAdding: true)
  }
}
