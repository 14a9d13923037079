public import Backends
public import TensorCore

/// Two-dimensional convolution (cross-correlation) of channels-last images.
///
/// - Parameters:
///   - x: `[batch, height, width, inputs]`
///   - weight: `[kernel height, kernel width, inputs, outputs]`, the memory that `prepared` derives
///     its forms from; nil if that is of half precision, and then no gradient is wanted for it
///   - bias: `[outputs]`
///   - shape: extents, stride and padding
///   - upsamples: whether the image is first upsampled 2x (nearest neighbour); then `shape` is that
///     of the upsampled one
/// - Returns: `[batch, output height, output width, outputs]`
public func convolution(
  _ x: Tensor, weight: Tensor?, prepared: ConvolutionOperand, bias: Tensor?,
  _ shape: ConvolutionShape, upsamples: Bool = false
) -> Tensor {
  let factor = upsamples ? 2 : 1
  precondition(
    [x.shape[0], factor * x.shape[1], factor * x.shape[2], x.shape[3]]
      == [shape.batch, shape.height, shape.width, shape.inputChannels],
    "convolution: input \(x.shape), expected \(shape)")
  let backend = x.backend
  let result = Tensor(
    uninitialized: [shape.batch, shape.outputHeight, shape.outputWidth, shape.outputChannels],
    like: x)
  backend.perform(
    .convolve(
      Convolution(
        x.operand, prepared, bias: bias?.operand, into: result.operand, shape,
        upsamples: upsamples)))
  let operands = [x, weight, bias].compactMap { $0 }
  guard isRecording(operands) else { return result }
  let needsInput = x.requiresGradient
  let needsBias = bias?.requiresGradient ?? false
  let hasWeight = weight != nil
  let hasBias = bias != nil
  let keptInput = weight.map(\.requiresGradient) ?? false ? x.detached : nil
  return result.recorded(from: operands) { gradient in
    var inputGradient: Tensor?
    if needsInput {
      let dx = Tensor(
        uninitialized: [shape.batch, shape.height, shape.width, shape.inputChannels],
        like: gradient)
      backend.perform(
        .convolveInputGradient(
          ConvolutionInputGradient(gradient.operand, prepared, into: dx.operand, shape)))
      inputGradient = upsamples ? upsamplingGradient(dx) : dx
    }
    let weightGradient = keptInput.map { input in
      let input = upsamples ? upsampledNearest2x(input) : input
      let dw = Tensor(
        uninitialized: [
          shape.kernelHeight, shape.kernelWidth, shape.inputChannels, shape.outputChannels,
        ], on: backend)
      backend.perform(
        .convolveWeightGradient(
          ConvolutionWeightGradient(input.operand, gradient.operand, into: dw.operand, shape)))
      return dw
    }
    let biasGradient = needsBias ? gradient.sum(over: 0..<3) : nil
    return [inputGradient] + (hasWeight ? [weightGradient] : [])
      + (hasBias ? [biasGradient] : [])
  }
}
