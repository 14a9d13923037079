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
/// The object that layers built from the same scope share.
public final class Parameter {
  /// The full key in the checkpoint.
  public let name: String
  /// The extents in the checkpoint.
  public let storedShape: [Int]
  /// The values in the layout of memory; a leaf of the graph if trainable.
  public let tensor: Tensor
  let layout: WeightLayout
  /// The forms that convolution kernels derive from the values.
  let convolutionWeights: ConvolutionWeights?

  init(name: String, stored: Tensor, layout: WeightLayout, isTrainable: Bool) {
    self.name = name
    storedShape = stored.shape
    self.layout = layout
    switch layout {
    case .asStored:
      tensor = isTrainable ? stored.trainable() : stored
      convolutionWeights = nil
    case .convolution:
      let values = permutedForMemory(stored)
      tensor = isTrainable ? values.trainable() : values
      convolutionWeights = values.convolutionWeights()
    }
  }

  public var isTrainable: Bool { tensor.requiresGradient }

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

  /// Replaces the values with `values`, given in the checkpoint's layout.
  public func assign(_ values: [Float]) {
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
  let (outputs, inputs) = (stored.shape[0], stored.shape[1])
  let area = stored.shape[2] * stored.shape[3]
  let result = Tensor(uninitialized: [stored.shape[2], stored.shape[3], inputs, outputs])
  for output in 0..<outputs {
    for input in 0..<inputs {
      for place in 0..<area {
        result.pointer[(place * inputs + input) * outputs + output] =
          stored.pointer[(output * inputs + input) * area + place]
      }
    }
  }
  return result
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
