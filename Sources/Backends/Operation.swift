public import TensorCore

/// One operation on memory: everything that models are computed with.
///
/// `into` and `to` name what is written; what `into` names is overwritten, what `to` names is added to. All
/// arrays are dense and row-major unless a stride is given. Formulas stand with the functions of Autograd
/// that record them, layouts with the kernels of TensorCore.
public enum Operation {
  // Arrays of any shape.
  case fill(Operand, count: Int, value: Float)
  case combine(BinaryOperation, Operand, Operand, into: Operand, Broadcast)
  case sumRepeats(Operand, into: Operand, Broadcast)
  /// The sum of all elements, added in double precision, as one number.
  case sum(Operand, count: Int, into: Operand)
  case scaleAndShift(Operand, into: Operand, count: Int, scale: Float, offset: Float)
  case addScaled(Operand, to: Operand, count: Int, scale: Float)
  case clamp(Operand, into: Operand, count: Int, ClosedRange<Float>)
  case clampGradient(Operand, Operand, into: Operand, count: Int, ClosedRange<Float>)
  case activate(Activation, Operand, into: Operand, count: Int)
  case activationGradient(Activation, Operand, Operand, into: Operand, count: Int)
  case gatedGELU(Operand, into: Operand, rows: Int, width: Int)
  case gatedGELUGradient(Operand, Operand, into: Operand, rows: Int, width: Int)
  case evaluate(ScalarFunction, Operand, into: Operand, count: Int)
  case evaluateGradient(ScalarFunction, Operand, Operand, into: Operand, count: Int)
  case adamW(AdamWStep, AdamWOperands, count: Int)

  // Rows.
  /// Each row divided by its Euclidean norm.
  case normalizeLengths(Operand, into: Operand, rows: Int, width: Int)
  case normalizeLengthsGradient(NormalizedLengthsGradient)
  case logSoftmax(Operand, into: Operand, rows: Int, width: Int)
  /// Of the output and its gradient.
  case logSoftmaxGradient(output: Operand, Operand, into: Operand, rows: Int, width: Int)
  case normalizeRows(RowNormalization)
  case normalizeRowsGradient(RowNormalizationGradient)
  case normalizeGroups(GroupNormalization)
  case normalizeGroupsGradient(GroupNormalizationGradient)

  // Movement.
  /// To another format.
  case convert(Operand, into: Operand, count: Int)
  /// The formats may differ, as those of ``gatherRows(_:at:into:width:)`` and ``scatterRows(_:at:to:width:)``.
  case copyRows(Operand, stride: Int, into: Operand, intoStride: Int, rows: Int, width: Int)
  case gatherRows(Operand, at: [Int], into: Operand, width: Int)
  case scatterRows(Operand, at: [Int], to: Operand, width: Int)
  /// `[batch, rows, columns, width]` to `[batch, columns, rows, width]`.
  case transpose(Operand, into: Operand, batch: Int, rows: Int, columns: Int, width: Int)
  case upsampleNearest(Operand, into: Operand, ImageShape)
  /// The shape is that of the small image.
  case upsampleNearestGradient(Operand, into: Operand, ImageShape)
  case resample(Operand, into: Operand, Resampling)
  case resampleGradient(Operand, into: Operand, Resampling)

  // Products.
  case multiply(MatrixProduct)
  case convolve(Convolution)
  case convolveInputGradient(ConvolutionInputGradient)
  case convolveWeightGradient(ConvolutionWeightGradient)
  case attend(Attention)
  case attendGradients(AttentionGradients)
}

public struct AdamWOperands {
  public let gradient: Operand
  public let mean: Operand
  public let square: Operand
  public let parameter: Operand

  public init(gradient: Operand, mean: Operand, square: Operand, parameter: Operand) {
    self.gradient = gradient
    self.mean = mean
    self.square = square
    self.parameter = parameter
  }
}

/// `[batch, height, width, channels]`.
public struct ImageShape: Equatable, Sendable {
  public let batch: Int
  public let height: Int
  public let width: Int
  public let channels: Int

  public init(batch: Int, height: Int, width: Int, channels: Int) {
    self.batch = batch
    self.height = height
    self.width = width
    self.channels = channels
  }

  public var count: Int { batch * height * width * channels }
}

/// One axis of `[rows, length, width]` resized by taps.
public struct Resampling: Sendable {
  public let length: Int
  public let rows: Int
  public let width: Int
  public let taps: CubicTaps

  public init(length: Int, rows: Int, width: Int, taps: CubicTaps) {
    self.length = length
    self.rows = rows
    self.width = width
    self.taps = taps
  }
}
