import TensorCore

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
  let result = Tensor(uninitialized: x.shape.dropLast() + [outputs])
  multiply(x, by: weight, .transposed, into: result, bias: bias)
  // [rows, rank] each
  let inner = terms.map { term in
    let inner = Tensor(uninitialized: [x.count / inputs, term.down.shape[0]])
    multiply(x, by: .full(term.down), .transposed, into: inner)
    scale(inner, by: term.scale)
    multiply(inner, by: .full(term.up), .transposed, into: result, isAdding: true)
    return inner
  }

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
    let dx = needsInput ? Tensor(uninitialized: shape) : nil
    if let dx { multiply(dy, by: frozen, .plain, into: dx) }
    var gradients: [Tensor?] = [dx]
    if let needsWeight {
      gradients.append(needsWeight ? input.map { transposedProduct(dy, $0) } : nil)
    }
    if let needsBias {
      gradients.append(
        needsBias ? dy.reshaped(to: [dy.count / outputs, outputs]).sum(over: 0..<1) : nil)
    }
    for (index, term) in frozenTerms.enumerated() {
      let needed = needsTerms[index]
      // The gradient of `x down^T`.
      let dh = Tensor(uninitialized: inner[index].shape)
      multiply(dy, by: .full(term.up), .plain, into: dh)
      scale(dh, by: term.scale)
      if let dx { multiply(dh, by: .full(term.down), .plain, into: dx, isAdding: true) }
      gradients.append(needed.down ? input.map { transposedProduct(dh, $0) } : nil)
      gradients.append(needed.up ? transposedProduct(dy, inner[index]) : nil)
    }
    return gradients
  }
}

private enum Side {
  /// `b` as it is.
  case plain
  case transposed
}

/// `output (+)= a b + bias`, with the leading axes of `a` and `output` as rows.
private func multiply(
  _ a: Tensor, by b: WeightTensor, _ side: Side, into output: Tensor, bias: Tensor? = nil,
  isAdding: Bool = false
) {
  let columns = b.shape[side == .plain ? 1 : 0]
  let inner = b.shape[side == .plain ? 0 : 1]
  let isTransposed = side == .transposed
  let factor =
    switch b {
    case .full(let tensor):
      RightFactor(tensor.pointer, stride: b.shape[1], isTransposed: isTransposed)
    case .half(let tensor):
      RightFactor(tensor.storage, stride: b.shape[1], isTransposed: isTransposed)
    }
  multiplyMatrices(
    MatrixPointer(a.pointer, stride: inner), factor,
    into: output.pointer, outputStride: columns, rows: a.count / inner, columns: columns,
    inner: inner, keep: isAdding ? 1 : 0, bias: bias?.pointer)
}

/// `a^T b`, with the leading axes of both as rows.
private func transposedProduct(_ a: Tensor, _ b: Tensor) -> Tensor {
  let (rows, columns) = (a.shape[a.shape.count - 1], b.shape[b.shape.count - 1])
  let result = Tensor(uninitialized: [rows, columns])
  multiplyMatrices(
    MatrixPointer(a.pointer, stride: rows, isTransposed: true),
    RightFactor(b.pointer, stride: columns), into: result.pointer, outputStride: columns,
    rows: rows, columns: columns, inner: a.count / rows)
  return result
}

/// Scales a tensor that nothing else has seen yet.
private func scale(_ tensor: Tensor, by factor: Float) {
  guard factor != 1 else { return }
  scaleAndShift(tensor.pointer, into: tensor.pointer, count: tensor.count, scale: factor)
}
