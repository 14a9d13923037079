public import Backends

/// A dense, row-major array of numbers, and its place in the graph of a differentiable computation.
///
/// Numbers are in single precision, except where a model computes in half precision, see
/// `inHalfPrecision`: there activations are, and results of operations on them have their format. A
/// value: operations return new tensors. Copies share memory; only an optimizer writes to an
/// existing tensor. Images are channels-last inside the program, `[batch, height, width,
/// channels]`. Mismatched shapes are programmer errors and stop the program: external input is
/// checked where it is read.
public struct Tensor {
  public let shape: [Int]
  let storage: Storage
  let offset: Int
  /// The node from which gradients flow on; nil if none are needed.
  let node: GradientNode?

  init(shape: [Int], storage: Storage, offset: Int = 0, node: GradientNode? = nil) {
    self.shape = shape
    self.storage = storage
    self.offset = offset
    self.node = node
  }

  /// A tensor for an operation to write, where the operation's operands lie.
  init(
    uninitialized shape: [Int], format: NumberFormat = .single, on backend: any Backend
  ) {
    self.init(
      shape: shape, storage: Storage(count: shape.reduce(1, *), format: format, on: backend))
  }

  /// The same for what is made of an activation: in its format.
  init(uninitialized shape: [Int], like activation: Tensor) {
    self.init(uninitialized: shape, format: activation.format, on: activation.backend)
  }

  /// A tensor of the numbers that `body` writes, all of them.
  ///
  /// A backend that computes nothing does not call it.
  public init<Failure: Error>(
    shape: [Int], on backend: any Backend = CurrentBackend.value,
    writtenBy body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    self.init(uninitialized: shape, on: backend)
    try backend.write(operand, count: count, body)
  }

  /// A tensor of `count` rows of a shape, which `body` writes one after another, given their numbers.
  ///
  /// A backend that computes nothing does not call it.
  public init<Failure: Error>(
    rows count: Int, of shape: [Int],
    writtenBy body: (Int, UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    let size = shape.reduce(1, *)
    try self.init(shape: [count] + shape) { buffer throws(Failure) in
      for row in 0..<count {
        try body(row, UnsafeMutableBufferPointer(rebasing: buffer[row * size..<(row + 1) * size]))
      }
    }
  }

  public init(_ values: [Float], shape: [Int]) {
    precondition(
      values.count == shape.reduce(1, *),
      "\(values.count) values do not fill a tensor of shape \(shape)")
    self.init(shape: shape) { _ = $0.update(fromContentsOf: values) }
  }

  public init(
    repeating value: Float, shape: [Int], on backend: any Backend = CurrentBackend.value
  ) {
    self.init(uninitialized: shape, on: backend)
    backend.perform(.fill(operand, count: count, value: value))
  }

  /// Zeros of a format, for an operation to add to.
  init(zeros shape: [Int], format: NumberFormat, on backend: any Backend) {
    self.init(uninitialized: shape, format: format, on: backend)
    backend.perform(.fill(operand, count: count, value: 0))
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

  /// The location of the numbers, and the backend that computes with them.
  public var backend: any Backend { storage.backend }

  /// The format of the numbers.
  var format: NumberFormat { storage.format }

  var operand: Operand { Operand(storage, offset: offset) }

  /// Shows `body` the numbers as they are now, in single precision.
  public func withValues<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try backend.read(operand, count: count, body)
  }

  public var values: [Float] { withValues { Array($0) } }

  /// The only element.
  public var scalar: Float {
    precondition(count == 1, "a tensor of shape \(shape) is not a scalar")
    return withValues { $0[0] }
  }

  /// Whether no element is infinite or not a number.
  public var isFinite: Bool { firstNonFinite == nil }

  /// The first element, in row-major order, that is infinite or not a number.
  public var firstNonFinite: Int? { backend.firstNonFinite(operand, count: count) }

  /// The sum of the squares of all elements, added in double precision.
  public var squareSum: Double { backend.squareSum(operand, count: count) }
}

extension Tensor {
  /// The forms that convolutions derive from these values, `[kernel height, kernel width, inputs,
  /// outputs]`, which they keep sharing.
  public func convolutionOperand() -> ConvolutionOperand {
    precondition(shape.count == 4 && offset == 0, "not the weights of a convolution: \(shape)")
    return ConvolutionOperand(
      operand, kernelHeight: shape[0], kernelWidth: shape[1], inputChannels: shape[2],
      outputChannels: shape[3])
  }
}
