import Backends

/// A low-rank term of a linear layer: `scale * (x down^T) up^T`.
public struct LowRankTerm {
  /// Shape `[rank, inputs]`.
  public let down: Tensor
  /// Shape `[outputs, rank]`.
  public let up: Tensor
  public let scale: Float

  public init(down: Tensor, up: Tensor, scale: Float) {
    self.down = down
    self.up = up
    self.scale = scale
  }
}

/// `y = x W^T + b`.
///
/// - Parameters:
///   - x: `[..., inputs]`
///   - weight: `[outputs, inputs]`, the layout of checkpoints
///   - bias: `[outputs]`
/// - Returns: `[..., outputs]`
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) -> Tensor {
  linear(x, weight: .full(weight), bias: bias)
}

/// The same plus low-rank terms, and for weights in any precision.
///
/// Weights of half precision are widened for each product and need no gradient.
///
/// - Source of the terms: Hu et al. 2021, arXiv 2106.09685
public func linear(
  _ x: Tensor, weight: WeightTensor, bias: Tensor? = nil, terms: [LowRankTerm] = []
) -> Tensor {
  let (outputs, inputs) = (weight.shape[0], weight.shape[1])
  precondition(x.shape.last == inputs, "linear: input \(x.shape), weight \(weight.shape)")
  let result = Tensor(uninitialized: x.shape.dropLast() + [outputs], like: x)
  let update = terms.isEmpty ? nil : UpdateFactors(terms)
  multiply(x, by: weight, .transposed, update?.ofTranspose, into: result, bias: bias)

  let operands = [x] + [weight.full, bias].compactMap { $0 } + terms.flatMap { [$0.down, $0.up] }
  guard isRecording(operands) else { return result }
  let shape = x.shape
  let needsInput = x.requiresGradient
  let frozen = weight.detached
  let input =
    operands.dropFirst().contains(where: \.requiresGradient) ? x.detached : nil
  let needsWeight = weight.full?.requiresGradient
  let needsBias = bias?.requiresGradient
  let needsTerms = terms.map { (down: $0.down.requiresGradient, up: $0.up.requiresGradient) }
  let frozenTerms = terms.map {
    LowRankTerm(down: $0.down.detached, up: $0.up.detached, scale: $0.scale)
  }
  return result.recorded(from: operands) { dy in
    let dx = needsInput ? Tensor(uninitialized: shape, like: dy) : nil
    if let dx { multiply(dy, by: frozen, .plain, update?.plain, into: dx) }
    var gradients: [Tensor?] = [dx]
    if let needsWeight {
      gradients.append(needsWeight ? input.map { transposedProduct(dy, $0) } : nil)
    }
    if let needsBias {
      gradients.append(
        needsBias ? dy.reshaped(to: [dy.count / outputs, outputs]).sum(over: 0..<1) : nil)
    }
    for (term, needed) in zip(frozenTerms, needsTerms) {
      gradients.append(
        needed.down
          ? input.map { transposedProduct(inner(dy, term.up, .plain, term.scale), $0) } : nil)
      gradients.append(
        needed.up
          ? input.map {
            transposedProduct(dy, inner($0, term.down, .transposed, term.scale))
          } : nil)
    }
    return gradients
  }
}

/// The terms' sum as an update of the weight, `[outputs, inputs]`: `up^T down` with all ranks below one
/// another, `up` scaled.
private struct UpdateFactors {
  private let up: Tensor
  private let down: Tensor
  private let rank: Int

  init(_ terms: [LowRankTerm]) {
    down = concatenated(terms.map(\.down.detached), axis: 0)
    up = concatenated(
      terms.map { $0.up.detached.transposed().scaled(by: $0.scale) }, axis: 0)
    rank = down.shape[0]
  }

  var plain: LowRankOperand { LowRankOperand(left: up.operand, right: down.operand, rank: rank) }
  var ofTranspose: LowRankOperand {
    LowRankOperand(left: down.operand, right: up.operand, rank: rank)
  }
}

/// `scale * a factor`, `[rows, rank]`, in single precision.
private func inner(_ a: Tensor, _ factor: Tensor, _ side: Side, _ scale: Float) -> Tensor {
  let rank = factor.shape[side == .plain ? 1 : 0]
  let result = Tensor(uninitialized: [a.count / (a.shape.last ?? 1), rank], on: a.backend)
  multiply(a, by: .full(factor), side, into: result)
  if scale != 1 {
    result.backend.perform(
      .scaleAndShift(
        result.operand, into: result.operand, count: result.count, scale: scale, offset: 0))
  }
  return result
}

private enum Side {
  /// `b` as it is.
  case plain
  case transposed
}

/// `output = a (b + update) + bias`, with the leading axes of `a` and `output` as rows.
private func multiply(
  _ a: Tensor, by b: WeightTensor, _ side: Side, _ update: LowRankOperand? = nil,
  into output: Tensor, bias: Tensor? = nil
) {
  let columns = b.shape[side == .plain ? 1 : 0]
  let inner = b.shape[side == .plain ? 0 : 1]
  let values =
    switch b {
    case .full(let tensor): tensor.operand
    case .half(let tensor): tensor.operand
    }
  output.backend.perform(
    .multiply(
      MatrixProduct(
        MatrixOperand(a.operand, stride: inner),
        MatrixOperand(values, stride: b.shape[1], isTransposed: side == .transposed),
        plus: update, into: output.operand, rows: a.count / inner, columns: columns, inner: inner,
        bias: bias?.operand)))
}

/// `a^T b` in single precision, with the leading axes of both as rows.
private func transposedProduct(_ a: Tensor, _ b: Tensor) -> Tensor {
  let (rows, columns) = (a.shape[a.shape.count - 1], b.shape[b.shape.count - 1])
  let result = Tensor(uninitialized: [rows, columns], on: a.backend)
  result.backend.perform(
    .multiply(
      MatrixProduct(
        MatrixOperand(a.operand, stride: rows, isTransposed: true),
        MatrixOperand(b.operand, stride: columns), into: result.operand, rows: rows,
        columns: columns, inner: a.count / rows)))
  return result
}
