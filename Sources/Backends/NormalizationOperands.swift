public import TensorCore

/// Rows divided by their Euclidean norm: the gradient of their input, from that of their output.
public struct NormalizedLengthsGradient {
  public let input: Operand
  public let output: Operand
  public let outputGradient: Operand
  public let inputGradient: Operand
  public let rows: Int
  public let width: Int

  public init(
    input: Operand, output: Operand, outputGradient: Operand, into inputGradient: Operand,
    rows: Int, width: Int
  ) {
    self.input = input
    self.output = output
    self.outputGradient = outputGradient
    self.inputGradient = inputGradient
    self.rows = rows
    self.width = width
  }
}

/// The gradients of a normalization's factors and summands.
public struct ParameterGradients {
  public let gamma: Operand
  public let beta: Operand

  public init(gamma: Operand, beta: Operand) {
    self.gamma = gamma
    self.beta = beta
  }
}

/// Layer normalization of `[rows, width]`.
public struct RowNormalization {
  public let input: Operand
  public let gamma: Operand
  public let beta: Operand
  public let output: Operand
  /// `[rows, 2]`: mean and reciprocal standard deviation.
  public let statistics: Operand
  public let epsilon: Float
  public let rows: Int
  public let width: Int

  public init(
    _ input: Operand, gamma: Operand, beta: Operand, into output: Operand, statistics: Operand,
    epsilon: Float, rows: Int, width: Int
  ) {
    self.input = input
    self.gamma = gamma
    self.beta = beta
    self.output = output
    self.statistics = statistics
    self.epsilon = epsilon
    self.rows = rows
    self.width = width
  }
}

public struct RowNormalizationGradient {
  public let input: Operand
  public let outputGradient: Operand
  public let gamma: Operand
  public let statistics: Operand
  public let inputGradient: Operand
  public let parameterGradients: ParameterGradients?
  public let rows: Int
  public let width: Int

  public init(
    _ input: Operand, _ outputGradient: Operand, gamma: Operand, statistics: Operand,
    into inputGradient: Operand, parameterGradients: ParameterGradients?, rows: Int, width: Int
  ) {
    self.input = input
    self.outputGradient = outputGradient
    self.gamma = gamma
    self.statistics = statistics
    self.inputGradient = inputGradient
    self.parameterGradients = parameterGradients
    self.rows = rows
    self.width = width
  }
}

/// Group normalization, with SiLU after it if asked.
public struct GroupNormalization {
  public let input: Operand
  public let gamma: Operand
  public let beta: Operand
  public let output: Operand
  /// `[batch, groups, 2]`: mean and reciprocal standard deviation.
  public let statistics: Operand
  public let epsilon: Float
  public let appliesSiLU: Bool
  public let shape: GroupShape

  public init(
    _ input: Operand, gamma: Operand, beta: Operand, into output: Operand, statistics: Operand,
    epsilon: Float, appliesSiLU: Bool, _ shape: GroupShape
  ) {
    self.input = input
    self.gamma = gamma
    self.beta = beta
    self.output = output
    self.statistics = statistics
    self.epsilon = epsilon
    self.appliesSiLU = appliesSiLU
    self.shape = shape
  }
}

public struct GroupNormalizationGradient {
  public let input: Operand
  public let outputGradient: Operand
  public let gamma: Operand
  public let beta: Operand
  public let statistics: Operand
  public let inputGradient: Operand
  public let parameterGradients: ParameterGradients?
  public let appliesSiLU: Bool
  public let shape: GroupShape

  public init(
    _ input: Operand, _ outputGradient: Operand, gamma: Operand, beta: Operand,
    statistics: Operand, into inputGradient: Operand, parameterGradients: ParameterGradients?,
    appliesSiLU: Bool, _ shape: GroupShape
  ) {
    self.input = input
    self.outputGradient = outputGradient
    self.gamma = gamma
    self.beta = beta
    self.statistics = statistics
    self.inputGradient = inputGradient
    self.parameterGradients = parameterGradients
    self.appliesSiLU = appliesSiLU
    self.shape = shape
  }
}
