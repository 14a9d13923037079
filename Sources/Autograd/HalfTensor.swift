public import TensorCore

/// A dense, row-major array of half precision: a weight that no gradient is wanted for.
///
/// Takes half the memory of a `Tensor`; operations widen it where they use it.
public struct HalfTensor {
  public let shape: [Int]
  public let storage: HalfStorage

  public init(shape: [Int], storage: HalfStorage) {
    precondition(
      storage.count == shape.reduce(1, *),
      "\(storage.count) values do not fill a tensor of shape \(shape)")
    self.shape = shape
    self.storage = storage
  }

  /// The same numbers in single precision.
  public func widened() -> Tensor {
    let result = Tensor(uninitialized: shape)
    storage.widen(0..<storage.count, into: result.pointer)
    return result
  }

  /// Rows of the first axis at `indices`, in that order, in single precision.
  public func rows(at indices: [Int]) -> Tensor {
    let width = shape.dropFirst().reduce(1, *)
    let result = Tensor(uninitialized: [indices.count] + shape.dropFirst())
    for (row, index) in indices.enumerated() {
      precondition(index >= 0 && index < shape[0], "no row \(index) in \(shape)")
      storage.widen(index * width..<(index + 1) * width, into: result.pointer + row * width)
    }
    return result
  }

  /// The forms that convolution kernels derive from these values, `[kernel height, kernel width,
  /// inputs, outputs]`.
  public func convolutionWeights() -> ConvolutionWeights {
    precondition(shape.count == 4, "not the weights of a convolution: \(shape)")
    return ConvolutionWeights(
      .half(storage), kernelHeight: shape[0], kernelWidth: shape[1], inputChannels: shape[2],
      outputChannels: shape[3])
  }
}

/// A weight in the precision it is kept in.
public enum WeightTensor {
  /// A leaf of the graph if trainable.
  case full(Tensor)
  case half(HalfTensor)

  public var shape: [Int] {
    switch self {
    case .full(let tensor): tensor.shape
    case .half(let tensor): tensor.shape
    }
  }

  /// The values in single precision: a copy of those kept in half precision.
  public var widened: Tensor {
    switch self {
    case .full(let tensor): tensor
    case .half(let tensor): tensor.widened()
    }
  }

  /// The values in single precision, or nil if they are kept in half precision.
  public var full: Tensor? {
    switch self {
    case .full(let tensor): tensor
    case .half: nil
    }
  }

  /// The same values, cut off from the graph.
  var detached: WeightTensor {
    switch self {
    case .full(let tensor): .full(tensor.detached)
    case .half: self
    }
  }
}
