public import TensorCore

/// A factor of a product of matrices, in any format: rows start `stride` elements apart.
public struct MatrixOperand {
  public let values: Operand
  public let stride: Int
  /// Whether the product uses the transpose of what lies in memory.
  public let isTransposed: Bool

  public init(_ values: Operand, stride: Int, isTransposed: Bool = false) {
    self.values = values
    self.stride = stride
    self.isTransposed = isTransposed
  }
}

/// A matrix of low rank, `left^T right`, with `left` `[rank, inner]` and `right` `[rank, columns]`.
public struct LowRankOperand {
  public let left: Operand
  public let right: Operand
  public let rank: Int

  public init(left: Operand, right: Operand, rank: Int) {
    self.left = left
    self.right = right
    self.rank = rank
  }
}

/// `output = a (b + update) + bias`, with `a` [rows, inner], `b` [inner, columns] and `bias` [columns].
public struct MatrixProduct {
  /// Of single precision.
  public let left: MatrixOperand
  public let right: MatrixOperand
  public let update: LowRankOperand?
  public let output: Operand
  public let rows: Int
  public let columns: Int
  public let inner: Int
  public let bias: Operand?

  public init(
    _ left: MatrixOperand, _ right: MatrixOperand, plus update: LowRankOperand? = nil,
    into output: Operand, rows: Int, columns: Int, inner: Int, bias: Operand? = nil
  ) {
    self.left = left
    self.right = right
    self.update = update
    self.output = output
    self.rows = rows
    self.columns = columns
    self.inner = inner
    self.bias = bias
  }
}

/// The weights of one convolution, `[kernel height, kernel width, inputs, outputs]` in any format, and what
/// their backend derives from them to convolve faster.
///
/// Not safe to share between threads that convolve at the same time.
public final class ConvolutionOperand {
  public let values: Operand
  public let kernelHeight: Int
  public let kernelWidth: Int
  public let inputChannels: Int
  public let outputChannels: Int
  /// The backend's own type; made when it is first wanted.
  var derived: AnyObject?

  public init(
    _ values: Operand, kernelHeight: Int, kernelWidth: Int, inputChannels: Int, outputChannels: Int
  ) {
    self.values = values
    self.kernelHeight = kernelHeight
    self.kernelWidth = kernelWidth
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
  }

  /// To be called after every change of the values.
  public func valuesChanged() { derived = nil }
}

/// A convolution of an image, or of its twofold nearest-neighbour upsampling.
public struct Convolution {
  public let input: Operand
  public let weights: ConvolutionOperand
  public let bias: Operand?
  public let output: Operand
  /// If upsampled, of the large image.
  public let shape: ConvolutionShape
  public let upsamples: Bool

  public init(
    _ input: Operand, _ weights: ConvolutionOperand, bias: Operand?, into output: Operand,
    _ shape: ConvolutionShape, upsamples: Bool
  ) {
    self.input = input
    self.weights = weights
    self.bias = bias
    self.output = output
    self.shape = shape
    self.upsamples = upsamples
  }
}

public struct ConvolutionInputGradient {
  public let outputGradient: Operand
  public let weights: ConvolutionOperand
  public let inputGradient: Operand
  public let shape: ConvolutionShape

  public init(
    _ outputGradient: Operand, _ weights: ConvolutionOperand, into inputGradient: Operand,
    _ shape: ConvolutionShape
  ) {
    self.outputGradient = outputGradient
    self.weights = weights
    self.inputGradient = inputGradient
    self.shape = shape
  }
}

public struct ConvolutionWeightGradient {
  public let input: Operand
  public let outputGradient: Operand
  public let weightGradient: Operand
  public let shape: ConvolutionShape

  public init(
    _ input: Operand, _ outputGradient: Operand, into weightGradient: Operand,
    _ shape: ConvolutionShape
  ) {
    self.input = input
    self.outputGradient = outputGradient
    self.weightGradient = weightGradient
    self.shape = shape
  }
}

public struct Attention {
  public let query: Operand
  public let key: Operand
  public let value: Operand
  public let output: Operand
  /// `[batch, heads, queries]`; nil where no gradients are wanted.
  public let logSumExp: Operand?
  public let shape: AttentionShape

  public init(
    query: Operand, key: Operand, value: Operand, into output: Operand, logSumExp: Operand?,
    _ shape: AttentionShape
  ) {
    self.query = query
    self.key = key
    self.value = value
    self.output = output
    self.logSumExp = logSumExp
    self.shape = shape
  }
}

public struct AttentionGradients {
  public let query: Operand
  public let key: Operand
  public let value: Operand
  public let output: Operand
  public let outputGradient: Operand
  public let logSumExp: Operand
  public let queryGradient: Operand
  public let keyGradient: Operand
  public let valueGradient: Operand
  public let shape: AttentionShape

  public init(
    query: Operand, key: Operand, value: Operand, output: Operand, outputGradient: Operand,
    logSumExp: Operand, into queryGradient: Operand, _ keyGradient: Operand,
    _ valueGradient: Operand, _ shape: AttentionShape
  ) {
    self.query = query
    self.key = key
    self.value = value
    self.output = output
    self.outputGradient = outputGradient
    self.logSumExp = logSumExp
    self.queryGradient = queryGradient
    self.keyGradient = keyGradient
    self.valueGradient = valueGradient
    self.shape = shape
  }
}
