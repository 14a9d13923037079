import TensorCore

/// `y = x W^T + b`.
///
/// - Parameters:
///   - x: `[..., inputs]`
///   - weight: `[outputs, inputs]`, the layout of checkpoints
///   - bias: `[outputs]`
/// - Returns: `[..., outputs]`
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) -> Tensor {
  let (outputs, inputs) = (weight.shape[0], weight.shape[1])
  precondition(x.shape.last == inputs, "linear: input \(x.shape), weight \(weight.shape)")
  let rows = x.count / inputs
  let result = Tensor(uninitialized: x.shape.dropLast() + [outputs])
  multiplyMatricesInParallel(
    MatrixPointer(x.pointer, stride: inputs),
    MatrixPointer(weight.pointer, stride: inputs, isTransposed: true), into: result.pointer,
    outputStride: outputs, rows: rows, columns: outputs, inner: inputs,
    bias: bias?.pointer)

  let operands = [x, weight] + (bias.map { [$0] } ?? [])
  guard isRecording(operands) else { return result }
  let inputShape = x.shape
  let keptWeight = x.requiresGradient ? weight.detached : nil
  let keptInput = weight.requiresGradient ? x.detached : nil
  let needsBias = bias?.requiresGradient ?? false
  return result.recorded(from: operands) { gradient in
    let inputGradient = keptWeight.map {
      linearInputGradient(gradient, weight: $0, shape: inputShape)
    }
    let weightGradient = keptInput.map { input in
      let dw = Tensor(uninitialized: [outputs, inputs])
      multiplyMatricesInParallel(
        MatrixPointer(gradient.pointer, stride: outputs, isTransposed: true),
        MatrixPointer(input.pointer, stride: inputs), into: dw.pointer, outputStride: inputs,
        rows: outputs, columns: inputs, inner: rows)
      return dw
    }
    let biasGradient = needsBias ? gradient.reshaped(to: [rows, outputs]).sum(over: 0..<1) : nil
    return operands.count == 3
      ? [inputGradient, weightGradient, biasGradient] : [inputGradient, weightGradient]
  }
}

/// The same for a weight of half precision, which is widened for each product and needs no gradient.
public func linear(_ x: Tensor, weight: HalfTensor, bias: Tensor? = nil) -> Tensor {
  let result = linear(x.detached, weight: weight.widened(), bias: bias?.detached)
  let operands = [x] + (bias.map { [$0] } ?? [])
  guard isRecording(operands) else { return result }
  let inputShape = x.shape
  let needsInput = x.requiresGradient
  let needsBias = bias?.requiresGradient ?? false
  return result.recorded(from: operands) { gradient in
    let rows = gradient.reshaped(to: [gradient.count / weight.shape[0], weight.shape[0]])
    return [
      needsInput
        ? linearInputGradient(gradient, weight: weight.widened(), shape: inputShape) : nil,
      needsBias ? rows.sum(over: 0..<1) : nil,
    ]
  }
}

/// `dx = dy W`, of shape `shape`.
private func linearInputGradient(_ gradient: Tensor, weight: Tensor, shape: [Int]) -> Tensor {
  let (outputs, inputs) = (weight.shape[0], weight.shape[1])
  let dx = Tensor(uninitialized: shape)
  multiplyMatricesInParallel(
    MatrixPointer(gradient.pointer, stride: outputs),
    MatrixPointer(weight.pointer, stride: inputs), into: dx.pointer, outputStride: inputs,
    rows: dx.count / inputs, columns: inputs, inner: outputs)
  return dx
}
