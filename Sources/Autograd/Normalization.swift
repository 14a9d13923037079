import Backends
import TensorCore

/// Group normalization of `[batch, ..., channels]`, with SiLU after it if asked.
///
/// - Parameters:
///   - gamma, beta: `[channels]`
///   - groups: a divisor of the number of channels
/// - Source: Wu and He 2018, arXiv 1803.08494
public func groupNormalized(
  _ x: Tensor, gamma: Tensor, beta: Tensor, groups: Int, epsilon: Float, appliesSiLU: Bool = false
) -> Tensor {
  let channels = gamma.count
  precondition(
    x.shape.last == channels && channels % groups == 0,
    "group normalization: input \(x.shape), \(channels) channels in \(groups) groups")
  let shape = GroupShape(
    batch: x.shape[0], positions: x.count / x.shape[0] / channels, channels: channels,
    groups: groups)
  let backend = x.backend
  let result = Tensor(uninitialized: x.shape, like: x)
  let statistics = Tensor(uninitialized: [shape.batch, groups, 2], on: backend)
  backend.perform(
    .normalizeGroups(
      GroupNormalization(
        x.operand, gamma: gamma.operand, beta: beta.operand, into: result.operand,
        statistics: statistics.operand, epsilon: epsilon, appliesSiLU: appliesSiLU, shape)))
  guard isRecording(x, gamma, beta) else { return result }
  let (input, gammaValues, betaValues) = (x.detached, gamma.detached, beta.detached)
  let needsParameters = gamma.requiresGradient || beta.requiresGradient
  return result.recorded(from: [x, gamma, beta]) { gradient in
    let dx = Tensor(uninitialized: input.shape, like: input)
    let gammaGradient = needsParameters ? Tensor(uninitialized: [channels], on: backend) : nil
    let betaGradient = needsParameters ? Tensor(uninitialized: [channels], on: backend) : nil
    backend.perform(
      .normalizeGroupsGradient(
        GroupNormalizationGradient(
          input.operand, gradient.operand, gamma: gammaValues.operand, beta: betaValues.operand,
          statistics: statistics.operand, into: dx.operand,
          parameterGradients: ParameterGradients(gammaGradient, betaGradient),
          appliesSiLU: appliesSiLU, shape)))
    return [dx, gammaGradient, betaGradient]
  }
}

/// Layer normalization over the last axis.
///
/// - Parameter gamma, beta: `[width]`
/// - Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450
public func layerNormalized(
  _ x: Tensor, gamma: Tensor, beta: Tensor, epsilon: Float
) -> Tensor {
  let width = gamma.count
  precondition(x.shape.last == width, "layer normalization: input \(x.shape), width \(width)")
  let rows = x.count / width
  let backend = x.backend
  let result = Tensor(uninitialized: x.shape, like: x)
  let statistics = Tensor(uninitialized: [rows, 2], on: backend)
  backend.perform(
    .normalizeRows(
      RowNormalization(
        x.operand, gamma: gamma.operand, beta: beta.operand, into: result.operand,
        statistics: statistics.operand, epsilon: epsilon, rows: rows, width: width)))
  guard isRecording(x, gamma, beta) else { return result }
  let (input, gammaValues) = (x.detached, gamma.detached)
  let needsParameters = gamma.requiresGradient || beta.requiresGradient
  return result.recorded(from: [x, gamma, beta]) { gradient in
    let dx = Tensor(uninitialized: input.shape, like: input)
    let gammaGradient = needsParameters ? Tensor(uninitialized: [width], on: backend) : nil
    let betaGradient = needsParameters ? Tensor(uninitialized: [width], on: backend) : nil
    backend.perform(
      .normalizeRowsGradient(
        RowNormalizationGradient(
          input.operand, gradient.operand, gamma: gammaValues.operand,
          statistics: statistics.operand, into: dx.operand,
          parameterGradients: ParameterGradients(gammaGradient, betaGradient), rows: rows,
          width: width)))
    return [dx, gammaGradient, betaGradient]
  }
}

extension ParameterGradients {
  fileprivate init?(_ gamma: Tensor?, _ beta: Tensor?) {
    guard let gamma, let beta else { return nil }
    self.init(gamma: gamma.operand, beta: beta.operand)
  }
}
