public import Autograd
import TensorCore

/// `y = x W^T + b`, plus the low-rank terms of the scope's adapters.
///
/// - Input: `[..., inputs]`
/// - Output: `[..., outputs]`
/// - Keys: `weight` `[outputs, inputs]`, `bias` `[outputs]`
public struct Linear {
  let weight: Parameter
  let bias: Parameter?
  let adapters: [LowRankAdapter]

  public init(
    _ weights: Weights, inputs: Int, outputs: Int, hasBias: Bool = true,
    initial: Initializer? = nil, initialBias: Initializer = .constant(0)
  ) throws {
    weight = try weights.adaptedWeight(
      shape: [outputs, inputs], initial: initial ?? .uniform(fanIn: inputs))
    bias =
      hasBias ? try weights.parameter("bias", shape: [outputs], initial: initialBias) : nil
    adapters =
      try weights.adapters?.adapters(for: weights.path, inputs: inputs, outputs: outputs) ?? []
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    linear(x, weight: weight.values, bias: bias?.tensor, terms: adapters.map(\.term))
  }
}

/// Two-dimensional convolution.
///
/// - Input: `[batch, height, width, inputs]`
/// - Output: `[batch, (height + padding - kernel) / stride + 1, ..., outputs]`
/// - Keys: `weight` `[outputs, inputs, kernel, kernel]`, `bias` `[outputs]`
public struct Conv2d {
  /// Pixels of zeros added on each side.
  public struct Padding: Sendable {
    public var top: Int
    public var left: Int
    public var bottom: Int
    public var right: Int

    public init(_ all: Int) { (top, left, bottom, right) = (all, all, all, all) }

    public init(top: Int, left: Int, bottom: Int, right: Int) {
      self.top = top
      self.left = left
      self.bottom = bottom
      self.right = right
    }
  }

  let weight: Parameter
  let bias: Parameter?
  let kernel: Int
  let stride: Int
  let padding: Padding

  public init(
    _ weights: Weights, inputs: Int, outputs: Int, kernel: Int, stride: Int = 1,
    padding: Padding? = nil, hasBias: Bool = true
  ) throws {
    let initial = Initializer.uniform(fanIn: inputs * kernel * kernel)
    weight = try weights.adaptedWeight(
      shape: [outputs, inputs, kernel, kernel], initial: initial, layout: .convolution)
    bias = hasBias ? try weights.parameter("bias", shape: [outputs], initial: .constant(0)) : nil
    self.kernel = kernel
    self.stride = stride
    self.padding = padding ?? Padding(kernel / 2)
  }

  /// - Parameter upsamples: whether the image is first upsampled twofold (nearest neighbour)
  public func callAsFunction(_ x: Tensor, upsamples: Bool = false) -> Tensor {
    let factor = upsamples ? 2 : 1
    let shape = ConvolutionShape(
      batch: x.shape[0], height: factor * x.shape[1], width: factor * x.shape[2],
      inputChannels: x.shape[3],
      outputChannels: weight.storedShape[0], kernel: (kernel, kernel), stride: stride,
      padding: (padding.top, padding.left, padding.bottom, padding.right))
    guard let prepared = weight.convolutionOperand else {
      preconditionFailure("\(weight.name) was not taken as a convolution")
    }
    return convolution(
      x, weight: weight.fullTensor, prepared: prepared, bias: bias?.tensor, shape,
      upsamples: upsamples)
  }
}

/// Group normalization, with SiLU after it if asked.
///
/// - Input, output: `[batch, ..., channels]`
/// - Keys: `weight`, `bias` `[channels]`
public struct GroupNorm {
  let gamma: Parameter
  let beta: Parameter
  let groups: Int
  let epsilon: Float

  public init(_ weights: Weights, channels: Int, groups: Int, epsilon: Float) throws {
    gamma = try weights.parameter("weight", shape: [channels], initial: .constant(1))
    beta = try weights.parameter("bias", shape: [channels], initial: .constant(0))
    self.groups = groups
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor, appliesSiLU: Bool = false) -> Tensor {
    groupNormalized(
      x, gamma: gamma.tensor, beta: beta.tensor, groups: groups, epsilon: epsilon,
      appliesSiLU: appliesSiLU)
  }
}

/// Layer normalization over the last axis.
///
/// - Input, output: `[..., width]`
/// - Keys: `weight`, `bias` `[width]`
public struct LayerNorm {
  let gamma: Parameter
  let beta: Parameter
  let epsilon: Float

  public init(_ weights: Weights, width: Int, epsilon: Float = 1e-5) throws {
    gamma = try weights.parameter("weight", shape: [width], initial: .constant(1))
    beta = try weights.parameter("bias", shape: [width], initial: .constant(0))
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    layerNormalized(x, gamma: gamma.tensor, beta: beta.tensor, epsilon: epsilon)
  }
}

/// A table of vectors looked up by index.
///
/// - Input: indices
/// - Output: `[indices, width]`
/// - Keys: `weight` `[count, width]`
public struct Embedding {
  public let weight: Parameter

  public init(_ weights: Weights, count: Int, width: Int) throws {
    weight = try weights.parameter(
      "weight", shape: [count, width], initial: .normal(deviation: 0.02))
  }

  public func callAsFunction(_ indices: [Int]) -> Tensor {
    switch weight.values {
    case .full(let table): table.rows(at: indices)
    case .half(let table): table.rows(at: indices)
    }
  }
}
