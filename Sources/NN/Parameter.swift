public import Autograd
import Backends
import HostResources

/// The layout of an array in memory, relative to the checkpoint.
public enum WeightLayout: Sendable {
  /// As in the checkpoint.
  case asStored
  /// A convolution: `[outputs, inputs, height, width]` in the checkpoint, `[height, width, inputs,
  /// outputs]` in memory.
  case convolution
}

/// One named array of a model.
///
/// The object that layers built from the same scope share. A large frozen array that a checkpoint
/// holds in half precision is kept so.
public final class Parameter {
  /// The full key in the checkpoint.
  public let name: String
  /// The extents in the checkpoint.
  public let storedShape: [Int]
  /// In the layout of memory.
  let values: WeightTensor
  let layout: WeightLayout
  /// Layouts that convolutions derive from the values.
  let convolutionOperand: ConvolutionOperand?

  /// - Parameter read: writes all numbers in the checkpoint's layout
  init<Failure: Error>(
    name: String, storedShape: [Int], layout: WeightLayout, isTrainable: Bool,
    read: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    let tensor = try Tensor(shape: layout.memoryShape(of: storedShape)) { buffer throws(Failure) in
      try layout.arrange(storedShape, in: buffer, read)
    }
    self.name = name
    self.layout = layout
    self.storedShape = storedShape
    values = .full(isTrainable ? tensor.trainable() : tensor)
    convolutionOperand = layout == .convolution ? tensor.convolutionOperand() : nil
  }

  /// An array of half precision, which is only read.
  init<Failure: Error>(
    name: String, storedShape: [Int], layout: WeightLayout, format: HalfFormat,
    read: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) {
    let tensor = try HalfTensor(shape: layout.memoryShape(of: storedShape), format: format) {
      buffer throws(Failure) in
      try layout.arrange(storedShape, in: buffer, read)
    }
    self.name = name
    self.layout = layout
    self.storedShape = storedShape
    values = .half(tensor)
    convolutionOperand = layout == .convolution ? tensor.convolutionOperand() : nil
  }

  /// The values in the layout of memory; a copy of those kept in half precision.
  public var tensor: Tensor { values.widened }

  /// The same, or nil if they are kept in half precision.
  var fullTensor: Tensor? { values.full }

  public var isTrainable: Bool { fullTensor?.requiresGradient ?? false }

  /// The values in the checkpoint's layout and row-major order.
  public var storedValues: [Float] { stored(tensor).values }

  /// A tensor in memory's layout (a gradient, for example) in the checkpoint's layout.
  public func stored(_ tensor: Tensor) -> Tensor {
    switch layout {
    case .asStored: tensor.reshaped(to: storedShape)
    case .convolution:
      // [height * width * inputs, outputs], then [outputs, height * width, inputs].
      tensor.detached.reshaped(to: [tensor.count / storedShape[0], storedShape[0]]).transposed()
        .reshaped(to: [storedShape[0], storedShape[2], storedShape[3], storedShape[1]])
        .channelsFirst()
    }
  }

  /// Replaces the values, which must not be kept in half precision, with `values`, given in the
  /// checkpoint's layout.
  public func assign(_ values: [Float]) {
    assignInMemory(
      Tensor(shape: layout.memoryShape(of: storedShape)) {
        layout.arrange(storedShape, in: $0) { _ = $0.update(fromContentsOf: values) }
      })
  }

  /// The same with values in memory's layout.
  public func assignInMemory(_ values: Tensor) {
    guard let tensor = fullTensor else {
      preconditionFailure("\(name) is kept in half precision, to be read only")
    }
    tensor.assign(values)
    valuesChanged()
  }

  /// To be called after the values in memory were written to.
  public func valuesChanged() { convolutionOperand?.valuesChanged() }
}

extension WeightLayout {
  /// The extents in memory of an array that a checkpoint holds with those of `stored`.
  func memoryShape(of stored: [Int]) -> [Int] {
    switch self {
    case .asStored: stored
    case .convolution: [stored[2], stored[3], stored[1], stored[0]]
    }
  }

  /// Has `read` write an array in the checkpoint's layout, and puts it into `target` in memory's.
  func arrange<Element, Failure: Error>(
    _ stored: [Int], in target: UnsafeMutableBufferPointer<Element>,
    _ read: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    guard self == .convolution, let start = target.baseAddress else { return try read(target) }
    let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: target.count)
    defer { buffer.deallocate() }
    try read(buffer)
    if let source = buffer.baseAddress { permute(source, shape: stored, into: start) }
  }
}

@inline(__always)
private func permute<Element>(
  _ stored: UnsafePointer<Element>, shape: [Int], into target: UnsafeMutablePointer<Element>
) {
  let (outputs, inputs, area) = (shape[0], shape[1], shape[2] * shape[3])
  parallelRanges(inputs, grain: max(1, (1 << 16) / max(1, outputs * area))) { range in
    // For a few inputs at a time all places are written in one stretch each.
    for first in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
      let members = first..<min(first + 4, range.upperBound)
      for output in 0..<outputs {
        for input in members {
          let source = stored + (output * inputs + input) * area
          for place in 0..<area {
            target[(place * inputs + input) * outputs + output] = source[place]
          }
        }
      }
    }
  }
}
