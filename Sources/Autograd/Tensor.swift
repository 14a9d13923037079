public import TensorCore

/// A dense, row-major array of floats, and its place in the graph of a differentiable computation.
///
/// A value: operations return new tensors. Copies share memory; only an optimiser writes to a tensor
/// after it was made. Images are channels-last inside the program, `[batch, height, width, channels]`.
/// Shapes that do not fit are programmer errors and stop the program: input from outside is checked
/// where it is read.
public struct Tensor {
  public let shape: [Int]
  let storage: Storage
  let offset: Int
  /// Where gradients flow on from here; nil for what needs none.
  let node: GradientNode?

  init(shape: [Int], storage: Storage, offset: Int = 0, node: GradientNode? = nil) {
    self.shape = shape
    self.storage = storage
    self.offset = offset
    self.node = node
  }

  /// A tensor whose contents are undefined until `pointer` is written.
  public init(uninitialized shape: [Int]) {
    self.init(shape: shape, storage: Storage(count: shape.reduce(1, *)))
  }

  public init(_ values: [Float], shape: [Int]) {
    self.init(uninitialized: shape)
    precondition(
      values.count == count, "\(values.count) values do not fill a tensor of shape \(shape)")
    values.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      pointer.update(from: start, count: count)
    }
  }

  public init(repeating value: Float, shape: [Int]) {
    self.init(uninitialized: shape)
    pointer.update(repeating: value, count: count)
  }

  /// A tensor of shape `[]`.
  public init(_ value: Float) { self.init(repeating: value, shape: []) }

  /// A leaf that gradients are wanted for, sharing this tensor's memory.
  public func trainable() -> Tensor {
    Tensor(shape: shape, storage: storage, offset: offset, node: GradientNode())
  }

  /// The same values, cut off from the graph.
  public var detached: Tensor { Tensor(shape: shape, storage: storage, offset: offset) }

  public var count: Int { shape.reduce(1, *) }

  public var requiresGradient: Bool { node != nil }

  /// The first element.
  ///
  /// Valid while the tensor (or a copy of it) lives.
  public var pointer: UnsafeMutablePointer<Float> { storage.pointer + offset }

  public var values: [Float] {
    [Float](UnsafeBufferPointer(start: pointer, count: count))
  }

  /// The only element.
  public var scalar: Float {
    precondition(count == 1, "a tensor of shape \(shape) is not a scalar")
    return pointer[0]
  }

  /// Whether no element is infinite or not a number.
  public var isFinite: Bool { firstNonFinite(pointer, count: count) == nil }
}

extension Tensor {
  /// The forms that convolution kernels derive from these values, `[kernel height, kernel width,
  /// inputs, outputs]`, which they go on sharing.
  public func convolutionWeights() -> ConvolutionWeights {
    precondition(shape.count == 4 && offset == 0, "not the weights of a convolution: \(shape)")
    return ConvolutionWeights(
      .full(storage), kernelHeight: shape[0], kernelWidth: shape[1], inputChannels: shape[2],
      outputChannels: shape[3])
  }
}

extension Tensor {
  /// The elements in memory; valid while the tensor lives.
  public var elements: UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: pointer, count: count)
  }

  /// The elements for writing: copies of the tensor see the change.
  public var mutableElements: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: pointer, count: count)
  }
}
