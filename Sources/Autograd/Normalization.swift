import TensorCore

/// Group normalisation of `[batch, ..., channels]`, with SiLU after it if asked.
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
    "group normalisation: input \(x.shape), \(channels) channels in \(groups) groups")
  let shape = GroupShape(
    batch: x.shape[0], positions: x.count / x.shape[0] / channels, channels: channels,
    groups: groups)
  let result = Tensor(uninitialized: x.shape)
  let statistics = Tensor(uninitialized: [shape.batch, groups, 2])
  normalizeGroups(
    x.pointer, gamma: gamma.pointer, beta: beta.pointer, into: result.pointer,
    statistics: statistics.pointer, epsilon: epsilon, appliesSiLU: appliesSiLU, shape)
  guard isRecording(x, gamma, beta) else { return result }
  let (input, gammaValues, betaValues) = (x.detached, gamma.detached, beta.detached)
  let needsParameters = gamma.requiresGradient || beta.requiresGradient
  return result.recorded(from: [x, gamma, beta]) { gradient in
    let dx = Tensor(uninitialized: input.shape)
    let gammaGradient = needsParameters ? Tensor(uninitialized: [channels]) : nil
    let betaGradient = needsParameters ? Tensor(uninitialized: [channels]) : nil
    normalizeGroupsGradient(
      input.pointer, gradient.pointer, gamma: gammaValues.pointer, beta: betaValues.pointer,
      statistics: statistics.pointer, into: dx.pointer,
      parameterGradients: pointers(gammaGradient, betaGradient), appliesSiLU: appliesSiLU, shape)
    return [dx, gammaGradient, betaGradient]
  }
}

/// Layer normalisation over the last axis.
///
/// - Parameter gamma, beta: `[width]`
/// - Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450
public func layerNormalized(
  _ x: Tensor, gamma: Tensor, beta: Tensor, epsilon: Float
) -> Tensor {
  let width = gamma.count
  precondition(x.shape.last == width, "layer normalisation: input \(x.shape), width \(width)")
  let rows = x.count / width
  let result = Tensor(uninitialized: x.shape)
  let statistics = Tensor(uninitialized: [rows, 2])
  normalizeRows(
    x.pointer, gamma: gamma.pointer, beta: beta.pointer, into: result.pointer,
    statistics: statistics.pointer, epsilon: epsilon, rows: rows, width: width)
  guard isRecording(x, gamma, beta) else { return result }
  let (input, gammaValues) = (x.detached, gamma.detached)
  let needsParameters = gamma.requiresGradient || beta.requiresGradient
  return result.recorded(from: [x, gamma, beta]) { gradient in
    let dx = Tensor(uninitialized: input.shape)
    let gammaGradient = needsParameters ? Tensor(uninitialized: [width]) : nil
    let betaGradient = needsParameters ? Tensor(uninitialized: [width]) : nil
    normalizeRowsGradient(
      input.pointer, gradient.pointer, gamma: gammaValues.pointer,
      statistics: statistics.pointer, into: dx.pointer,
      parameterGradients: pointers(gammaGradient, betaGradient), rows: rows, width: width)
    return [dx, gammaGradient, betaGradient]
  }
}

private func pointers(
  _ gamma: Tensor?, _ beta: Tensor?
) -> (gamma: UnsafeMutablePointer<Float>, beta: UnsafeMutablePointer<Float>)? {
  guard let gamma, let beta else { return nil }
  return (gamma.pointer, beta.pointer)
}
