public import Backends
public import HostResources

/// A dense, row-major array of half precision: a weight that no gradient is wanted for.
///
/// Takes half the memory of a `Tensor`; operations widen it on use.
public struct HalfTensor {
  public let shape: [Int]
  let storage: Storage

  init(shape: [Int], storage: Storage) {
    self.shape = shape
    self.storage = storage
  }

  /// A tensor of the numbers that `body` writes, all of them, as they are stored.
  ///
  /// A backend that computes nothing does not call it.
  public init<Failure: Error>(
    shape: [Int], format: HalfFormat, on backend: any Backend = CurrentBackend.value,
    writtenBy body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) {
    self.init(
      shape: shape,
      storage: Storage(count: shape.reduce(1, *), format: .half(format), on: backend))
    try backend.writeHalf(operand, count: storage.count, body)
  }

  var operand: Operand { Operand(storage) }

  /// The same numbers in single precision.
  public func widened() -> Tensor {
    let result = Tensor(uninitialized: shape, on: storage.backend)
    storage.backend.perform(.convert(operand, into: result.operand, count: storage.count))
    return result
  }

  /// Rows of the first axis at `indices`, in that order, as activations.
  public func rows(at indices: [Int]) -> Tensor {
    gathered(operand, shape: shape, at: indices)
  }

  /// The forms that convolutions derive from these values, `[kernel height, kernel width, inputs,
  /// outputs]`.
  public func convolutionOperand() -> ConvolutionOperand {
    precondition(shape.count == 4, "not the weights of a convolution: \(shape)")
    return ConvolutionOperand(
      operand, kernelHeight: shape[0], kernelWidth: shape[1], inputChannels: shape[2],
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
