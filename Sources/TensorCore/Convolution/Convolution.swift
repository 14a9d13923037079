import HostResources

/// The sizes of one convolution.
///
/// Input `[batch, height, width, inputChannels]`, kernel
/// `[kernelHeight, kernelWidth, inputChannels, outputChannels]`, output
/// `[batch, outputHeight, outputWidth, outputChannels]`; all dense.
public struct ConvolutionShape: Equatable, Sendable {
  public var batch: Int
  public var height: Int
  public var width: Int
  public var inputChannels: Int
  public var outputChannels: Int
  public var kernelHeight: Int
  public var kernelWidth: Int
  public var stride: Int
  public var paddingTop: Int
  public var paddingLeft: Int
  public var paddingBottom: Int
  public var paddingRight: Int

  /// The same padding on all four sides.
  public init(
    batch: Int, height: Int, width: Int, inputChannels: Int, outputChannels: Int,
    kernel: (height: Int, width: Int), stride: Int = 1, padding: Int = 0
  ) {
    self.init(
      batch: batch, height: height, width: width, inputChannels: inputChannels,
      outputChannels: outputChannels, kernel: kernel, stride: stride,
      padding: (top: padding, left: padding, bottom: padding, right: padding))
  }

  public init(
    batch: Int, height: Int, width: Int, inputChannels: Int, outputChannels: Int,
    kernel: (height: Int, width: Int), stride: Int,
    padding: (top: Int, left: Int, bottom: Int, right: Int)
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    kernelHeight = kernel.height
    kernelWidth = kernel.width
    self.stride = stride
    paddingTop = padding.top
    paddingLeft = padding.left
    paddingBottom = padding.bottom
    paddingRight = padding.right
  }

  public var outputHeight: Int {
    positions(height + paddingTop + paddingBottom, kernelHeight)
  }

  public var outputWidth: Int {
    positions(width + paddingLeft + paddingRight, kernelWidth)
  }

  /// Returns the positions of a kernel within an extent: none where it is longer.
  private func positions(_ extent: Int, _ kernel: Int) -> Int {
    extent < kernel ? 0 : (extent - kernel) / stride + 1
  }

  public var inputCount: Int { batch * height * width * inputChannels }
  public var outputCount: Int { batch * outputHeight * outputWidth * outputChannels }
  public var weightCount: Int { kernelHeight * kernelWidth * inputChannels * outputChannels }

  /// Multiplications of the plain sum; each kernel's two gradients take as many.
  public var multiplications: Int { outputCount * kernelHeight * kernelWidth * inputChannels }
}

/// `output[n, y, x, :] = bias + sum over ky, kx of input[n, y stride + ky - top, x stride + kx - left, :]
/// weights[ky, kx]`, the input being 0 outside its borders.
public func convolve(
  _ input: UnsafePointer<Float>, _ weights: ConvolutionWeights, bias: UnsafePointer<Float>?,
  into output: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape
) {
  guard shape.outputCount > 0 else { return }
  let tiles = WinogradTiles(shape)
  if WinogradTiles.suit(shape), tiles.areFaster {
    convolveByWinograd(input, weights.forwardKernel(.plain), bias: bias, into: output, tiles)
  } else {
    convolveDirectly(input, weights, bias: bias, into: output, shape)
  }
}

/// The same for the input's 2x nearest-neighbour upsampling, which has the shape's height and
/// width.
///
/// - Parameter input: `[batch, height / 2, width / 2, inputChannels]`
public func convolveUpsampled(
  _ input: UnsafePointer<Float>, _ weights: ConvolutionWeights, bias: UnsafePointer<Float>?,
  into output: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape
) {
  let tiles = WinogradTiles(upsampled: shape)
  guard WinogradTiles.suitUpsampled(shape), tiles.areFaster else {
    let upsampled = HostMemory(count: shape.inputCount)
    upsampleNearest(
      input, into: upsampled.pointer, batch: shape.batch, height: shape.height / 2,
      width: shape.width / 2, channels: shape.inputChannels)
    convolve(upsampled.pointer, weights, bias: bias, into: output, shape)
    return
  }
  guard shape.outputCount > 0 else { return }
  convolveByWinograd(input, weights.forwardKernel(.upsampling), bias: bias, into: output, tiles)
}

/// The gradient with respect to the input of ``convolve(_:_:bias:into:_:)``; overwrites it.
public func convolveInputGradient(
  _ outputGradient: UnsafePointer<Float>, _ weights: ConvolutionWeights,
  into inputGradient: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape
) {
  guard shape.inputCount > 0 else { return }
  let tiles = WinogradTiles(inputGradientOf: shape)
  if WinogradTiles.suit(shape), tiles.areFaster {
    convolveByWinograd(
      outputGradient, weights.gradientKernel(), bias: nil, into: inputGradient, tiles)
  } else {
    convolveInputGradientDirectly(outputGradient, weights, into: inputGradient, shape)
  }
}

/// The gradient with respect to the weights of ``convolve(_:_:bias:into:_:)``,
/// `[kernelHeight, kernelWidth, inputChannels, outputChannels]`; overwrites it.
public func convolveWeightGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into weightGradient: UnsafeMutablePointer<Float>, _ shape: ConvolutionShape,
  form: TileForm = .native
) {
  guard shape.weightCount > 0 else { return }
  guard shape.outputCount > 0 else {
    return weightGradient.update(repeating: 0, count: shape.weightCount)
  }
  if WinogradWeightGradient.isFaster(shape) {
    WinogradWeightGradient(shape, input: input, outputGradient: outputGradient, form: form)
      .run(into: weightGradient)
  } else {
    convolveWeightGradientDirectly(
      input, outputGradient, into: weightGradient, shape, form: form)
  }
}
