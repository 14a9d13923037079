public import Autograd
import TensorCore

/// How an array lies in memory, compared with the checkpoint.
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
  /// The forms that convolution kernels derive from the values.
  let convolutionWeights: ConvolutionWeights?

  init(name: String, stored: Tensor, layout: WeightLayout, isTrainable: Bool) {
    let tensor = layout == .convolution ? permutedForMemory(stored) : stored
    self.name = name
    self.layout = layout
    storedShape = stored.shape
    values = .full(isTrainable ? tensor.trainable() : tensor)
    convolutionWeights = layout == .convolution ? tensor.convolutionWeights() : nil
  }

  init(name: String, stored: HalfTensor, layout: WeightLayout) {
    let tensor = layout == .convolution ? permutedForMemory(stored) : stored
    self.name = name
    self.layout = layout
    storedShape = stored.shape
    values = .half(tensor)
    convolutionWeights = layout == .convolution ? tensor.convolutionWeights() : nil
  }

  /// An array of which the name and the shape are known alone.
  init(name: String, storedShape: [Int], layout: WeightLayout) {
    self.name = name
    self.layout = layout
    self.storedShape = storedShape
    values = .full(Tensor(0))
    convolutionWeights = nil
  }

  /// The values in the layout of memory; a copy of those kept in half precision.
  public var tensor: Tensor { values.widened }

  /// The same, or nil if they are kept in half precision.
  var fullTensor: Tensor? { values.full }

  public var isTrainable: Bool { fullTensor?.requiresGradient ?? false }

  /// The values in the checkpoint's layout and row-major order.
  public var storedValues: [Float] {
    switch layout {
    case .asStored: tensor.values
    case .convolution: permutedForStorage(tensor, storedShape: storedShape).values
    }
  }

  /// A tensor in memory's layout (a gradient, for example) in the checkpoint's layout.
  public func stored(_ tensor: Tensor) -> Tensor {
    switch layout {
    case .asStored: tensor.reshaped(to: storedShape)
    case .convolution: permutedForStorage(tensor, storedShape: storedShape)
    }
  }

  /// Replaces the values, which must not be kept in half precision, with `values`, given in the
  /// checkpoint's layout.
  public func assign(_ values: [Float]) {
    guard let tensor = fullTensor else {
      preconditionFailure("\(name) is kept in half precision, to be read only")
    }
    let stored = Tensor(values, shape: storedShape)
    let source = layout == .convolution ? permutedForMemory(stored) : stored
    tensor.pointer.update(from: source.pointer, count: tensor.count)
    valuesChanged()
  }

  /// To be called after the values in memory were written to.
  public func valuesChanged() { convolutionWeights?.weightsChanged() }
}

/// `[outputs, inputs, height, width]` to `[height, width, inputs, outputs]`.
private func permutedForMemory(_ stored: Tensor) -> Tensor {
  let result = Tensor(uninitialized: memoryShape(of: stored.shape))
  permute(stored.pointer, shape: stored.shape, into: result.pointer)
  return result
}

private func permutedForMemory(_ stored: HalfTensor) -> HalfTensor {
  let storage = HalfStorage(count: stored.storage.count, format: stored.storage.format)
  permute(stored.storage.pointer, shape: stored.shape, into: storage.pointer)
  return HalfTensor(shape: memoryShape(of: stored.shape), storage: storage)
}

private func memoryShape(of stored: [Int]) -> [Int] {
  [stored[2], stored[3], stored[1], stored[0]]
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

/// The inverse of `permutedForMemory`.
private func permutedForStorage(_ tensor: Tensor, storedShape: [Int]) -> Tensor {
  let (outputs, inputs) = (storedShape[0], storedShape[1])
  let area = storedShape[2] * storedShape[3]
  let result = Tensor(uninitialized: storedShape)
  for output in 0..<outputs {
    for input in 0..<inputs {
      for place in 0..<area {
        result.pointer[(output * inputs + input) * area + place] =
          tensor.pointer[(place * inputs + input) * outputs + output]
      }
    }
  }
  return result
}
