import HostResources
import TensorCore

extension HostBackend {
  func perform(_ product: MatrixProduct) {
    let right = product.right
    var factor =
      switch right.values.storage.format {
      case .single:
        RightFactor(
          right.values.floats, stride: right.stride, isTransposed: right.isTransposed)
      case .half:
        RightFactor(right.values.half, stride: right.stride, isTransposed: right.isTransposed)
      }
    factor.update = product.update.map {
      LowRankUpdate(left: $0.left.floats, right: $0.right.floats, rank: $0.rank)
    }
    multiplyMatrices(
      MatrixPointer(
        product.left.values.floats, stride: product.left.stride,
        isTransposed: product.left.isTransposed),
      factor, into: product.output.floats, outputStride: product.columns, rows: product.rows,
      columns: product.columns, inner: product.inner, bias: product.bias?.floats)
  }

  func perform(_ convolution: Convolution) {
    let (weights, bias) = (convolution.weights.hostWeights, convolution.bias?.floats)
    if convolution.upsamples {
      convolveUpsampled(
        convolution.input.floats, weights, bias: bias, into: convolution.output.floats,
        convolution.shape)
    } else {
      convolve(
        convolution.input.floats, weights, bias: bias, into: convolution.output.floats,
        convolution.shape)
    }
  }

  func perform(_ gradient: ConvolutionInputGradient) {
    TensorCore.convolveInputGradient(
      gradient.outputGradient.floats, gradient.weights.hostWeights,
      into: gradient.inputGradient.floats, gradient.shape)
  }

  func perform(_ gradient: ConvolutionWeightGradient) {
    TensorCore.convolveWeightGradient(
      gradient.input.floats, gradient.outputGradient.floats, into: gradient.weightGradient.floats,
      gradient.shape)
  }

  func perform(_ attention: Attention) {
    TensorCore.attend(
      query: attention.query.floats, key: attention.key.floats, value: attention.value.floats,
      into: attention.output.floats, logSumExp: attention.logSumExp?.floats, attention.shape)
  }

  func perform(_ gradients: AttentionGradients) {
    TensorCore.attendGradients(
      query: gradients.query.floats, key: gradients.key.floats, value: gradients.value.floats,
      output: gradients.output.floats, outputGradient: gradients.outputGradient.floats,
      logSumExp: gradients.logSumExp.floats, queryGradient: gradients.queryGradient.floats,
      keyGradient: gradients.keyGradient.floats, valueGradient: gradients.valueGradient.floats,
      gradients.shape)
  }
}

extension ConvolutionOperand {
  /// The weights with the layouts that the kernels derive from them.
  fileprivate var hostWeights: ConvolutionWeights {
    if let weights = derived as? ConvolutionWeights { return weights }
    precondition(values.offset == 0, "the weights of a convolution are a storage of their own")
    let weights = ConvolutionWeights(
      hostValues, kernelHeight: kernelHeight, kernelWidth: kernelWidth,
      inputChannels: inputChannels, outputChannels: outputChannels)
    derived = weights
    return weights
  }

  private var hostValues: ConvolutionWeights.Values {
    switch values.storage.format {
    case .single:
      guard let memory = values.storage.memory as? HostMemory else {
        preconditionFailure("weights of \(values.storage.backend.name) are not here")
      }
      return .full(memory)
    case .half: return .half(values.half)
    }
  }
}
