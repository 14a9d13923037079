import TensorCore

extension HostBackend {
  func perform(_ gradient: NormalizedLengthsGradient) {
    TensorCore.normalizeLengthsGradient(
      gradient.input.floats, output: gradient.output.floats, gradient.outputGradient.floats,
      into: gradient.inputGradient.floats, rows: gradient.rows, width: gradient.width)
  }

  func perform(_ normalization: RowNormalization) {
    TensorCore.normalizeRows(
      normalization.input.floats, gamma: normalization.gamma.floats,
      beta: normalization.beta.floats, into: normalization.output.floats,
      statistics: normalization.statistics.floats, epsilon: normalization.epsilon,
      rows: normalization.rows, width: normalization.width)
  }

  func perform(_ gradient: RowNormalizationGradient) {
    TensorCore.normalizeRowsGradient(
      gradient.input.floats, gradient.outputGradient.floats, gamma: gradient.gamma.floats,
      statistics: gradient.statistics.floats, into: gradient.inputGradient.floats,
      parameterGradients: gradient.parameterGradients?.pointers, rows: gradient.rows,
      width: gradient.width)
  }

  func perform(_ normalization: GroupNormalization) {
    TensorCore.normalizeGroups(
      normalization.input.floats, gamma: normalization.gamma.floats,
      beta: normalization.beta.floats, into: normalization.output.floats,
      statistics: normalization.statistics.floats, epsilon: normalization.epsilon,
      appliesSiLU: normalization.appliesSiLU, normalization.shape)
  }

  func perform(_ gradient: GroupNormalizationGradient) {
    TensorCore.normalizeGroupsGradient(
      gradient.input.floats, gradient.outputGradient.floats, gamma: gradient.gamma.floats,
      beta: gradient.beta.floats, statistics: gradient.statistics.floats,
      into: gradient.inputGradient.floats,
      parameterGradients: gradient.parameterGradients?.pointers,
      appliesSiLU: gradient.appliesSiLU, gradient.shape)
  }
}

extension ParameterGradients {
  fileprivate var pointers: (gamma: UnsafeMutablePointer<Float>, beta: UnsafeMutablePointer<Float>)
  {
    (gamma.floats, beta.floats)
  }
}
