import HostResources

/// The division of an image into tiles of 4x4 output pixels, in memory order.
struct WinogradTiles {
  let form: WinogradForm
  let batch: Int
  let inputHeight: Int
  let inputWidth: Int
  let inputChannels: Int
  let outputHeight: Int
  let outputWidth: Int
  let outputChannels: Int
  /// Rows and columns of zeros before the input.
  let top: Int
  let left: Int

  var down: Int { (outputHeight + Winograd.outputSize - 1) / Winograd.outputSize }
  var across: Int { (outputWidth + Winograd.outputSize - 1) / Winograd.outputSize }
  var count: Int { batch * down * across }

  init(_ shape: ConvolutionShape) {
    form = .plain
    batch = shape.batch
    inputHeight = shape.height
    inputWidth = shape.width
    inputChannels = shape.inputChannels
    outputHeight = shape.outputHeight
    outputWidth = shape.outputWidth
    outputChannels = shape.outputChannels
    top = shape.paddingTop
    left = shape.paddingLeft
  }

  /// Creates the tiles for convolving an upsampled image of a shape; the input is the original.
  init(upsampled shape: ConvolutionShape) {
    form = .upsampling
    batch = shape.batch
    inputHeight = shape.height / 2
    inputWidth = shape.width / 2
    inputChannels = shape.inputChannels
    outputHeight = shape.outputHeight
    outputWidth = shape.outputWidth
    outputChannels = shape.outputChannels
    top = 1
    left = 1
  }

  /// Creates the tiles for the convolution that maps an output's gradient to the input's.
  init(inputGradientOf shape: ConvolutionShape) {
    form = .plain
    batch = shape.batch
    inputHeight = shape.outputHeight
    inputWidth = shape.outputWidth
    inputChannels = shape.outputChannels
    outputHeight = shape.height
    outputWidth = shape.width
    outputChannels = shape.inputChannels
    top = Winograd.kernelSize - 1 - shape.paddingTop
    left = Winograd.kernelSize - 1 - shape.paddingLeft
  }

  /// Output channels padded to whole vectors.
  var paddedChannels: Int { PanelSource.padded(outputChannels) }
  /// The pixels of the output.
  var pixelCount: Int { batch * outputHeight * outputWidth }

  /// Whether tiles are faster than ``DirectConvolution``, by a measured rule.
  ///
  /// In units of one multiplication of a matrix product, a tile's transforms cost about 250 for each
  /// channel, and a kernel's 400 for each pair of channels.
  var areFaster: Bool {
    let pairs = inputChannels * paddedChannels
    let tile = form.planes * pairs + 250 * (inputChannels + paddedChannels)
    let direct = batch * outputHeight * outputWidth * 9 * pairs
    return inputChannels % 8 == 0 && count * tile + 400 * pairs < direct
  }

  /// Whether the algorithm supports this convolution.
  static func suit(_ shape: ConvolutionShape) -> Bool {
    shape.kernelHeight == 3 && shape.kernelWidth == 3 && shape.stride == 1
      && max(shape.paddingTop, shape.paddingLeft) <= 2
  }

  /// Whether the algorithm for upsampled images supports this convolution.
  static func suitUpsampled(_ shape: ConvolutionShape) -> Bool {
    suit(shape) && shape.height % 2 == 0 && shape.width % 2 == 0
      && [shape.paddingTop, shape.paddingLeft, shape.paddingBottom, shape.paddingRight]
        .allSatisfy { $0 == 1 }
  }

  private func position(_ tile: Int) -> (image: Int, y: Int, x: Int) {
    let (line, x) = tile.quotientAndRemainder(dividingBy: across)
    let (image, y) = line.quotientAndRemainder(dividingBy: down)
    return (image, y * Winograd.outputSize, x * Winograd.outputSize)
  }

  /// Finds the input pixels of a tile; those outside the image are at `zeros`.
  @inline(__always)
  func locateInput(
    _ tile: Int, in input: UnsafePointer<Float>, outside zeros: UnsafePointer<Float>,
    into pixels: UnsafeMutablePointer<UnsafePointer<Float>>
  ) {
    var (image, firstY, firstX) = position(tile)
    if form == .upsampling { (firstY, firstX) = (firstY / 2, firstX / 2) }
    let size = form.inputSize
    let (y, x) = (firstY - top, firstX - left)
    if y >= 0, y + size <= inputHeight, x >= 0, x + size <= inputWidth {
      var line = input + ((image * inputHeight + y) * inputWidth + x) * inputChannels
      for row in 0..<size {
        for column in 0..<size { pixels[row * size + column] = line + column * inputChannels }
        line += inputWidth * inputChannels
      }
      return
    }
    for row in 0..<size {
      let y = firstY + row - top
      let line = input + (image * inputHeight + y) * inputWidth * inputChannels
      for column in 0..<size {
        let x = firstX + column - left
        let isInside = y >= 0 && y < inputHeight && x >= 0 && x < inputWidth
        pixels[row * size + column] = isInside ? line + x * inputChannels : zeros
      }
    }
  }

  /// Finds the 16 output pixels of a tile, of `paddedChannels` each; those outside the image are at
  /// `outside`.
  @inline(__always)
  func locateOutput(
    _ tile: Int, in output: UnsafePointer<Float>, outside: UnsafePointer<Float>,
    into pixels: UnsafeMutablePointer<UnsafePointer<Float>>
  ) {
    let (image, firstY, firstX) = position(tile)
    let size = Winograd.outputSize
    if firstY + size <= outputHeight, firstX + size <= outputWidth {
      var line = output + ((image * outputHeight + firstY) * outputWidth + firstX) * paddedChannels
      for row in 0..<size {
        for column in 0..<size {
          pixels[row * size + column] = UnsafePointer(line + column * paddedChannels)
        }
        line += outputWidth * paddedChannels
      }
      return
    }
    for row in 0..<size {
      let y = firstY + row
      let line = output + (image * outputHeight + y) * outputWidth * paddedChannels
      for column in 0..<size {
        let x = firstX + column
        let isInside = y < outputHeight && x < outputWidth
        pixels[row * size + column] =
          isInside ? line + x * paddedChannels : outside
      }
    }
  }
}

/// One thread's working memory.
final class WinogradScratch {
  let pixels: UnsafeMutablePointer<UnsafePointer<Float>>
  let vectors: UnsafeMutablePointer<Vector>
  let wideVectors: UnsafeMutablePointer<SIMD16<Float>>
  /// A stand-in for pixels outside the image: reads give zeros, writes are ignored.
  let zeros: HostMemory
  let unused: HostMemory
  let worker: TileWorker
  private let form: TileForm

  init(_ form: TileForm, channels: Int) {
    self.form = form
    pixels = .allocate(capacity: Winograd.planes)
    vectors = .allocate(capacity: Winograd.scratchCount)
    wideVectors = .allocate(capacity: Winograd.scratchCount)
    zeros = paddedBias(nil, channels: channels)
    unused = HostMemory(count: channels)
    worker = TileWorker(form)
  }

  /// The floats of its blocks.
  static func counts(channels: Int) -> [Int] { [PanelSource.padded(channels), channels] }

  deinit {
    pixels.deallocate()
    vectors.deallocate()
    wideVectors.deallocate()
  }

  /// Returns the number of channels that are transformed 16 at a time.
  func channelsOfWideVectors(_ channels: Int) -> Int {
    form == .wide ? channels / 16 * 16 : 0
  }
}
