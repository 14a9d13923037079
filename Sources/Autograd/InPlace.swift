import Backends
public import TensorCore

// In-place updates of tensors without a recorded graph, for training. Copies of a tensor see the
// change.
extension Tensor {
  /// Replaces the values by those of a tensor of the same shape.
  public func assign(_ other: Tensor) {
    precondition(other.shape == shape, "values of shape \(other.shape) for \(shape)")
    backend.perform(
      .copyRows(
        other.operand, stride: count, into: operand, intoStride: count, rows: 1, width: count))
  }

  /// Moves the values towards those of another tensor: `keep * value + (1 - keep) * other`.
  public func average(with other: Tensor, keeping keep: Float) {
    backend.perform(.scaleAndShift(operand, into: operand, count: count, scale: keep, offset: 0))
    backend.perform(.addScaled(other.operand, to: operand, count: count, scale: 1 - keep))
  }

  /// One update of AdamW, of the running means, too.
  public func update(by step: AdamWStep, gradient: Tensor, mean: Tensor, square: Tensor) {
    let operands = AdamWOperands(
      gradient: gradient.operand, mean: mean.operand, square: square.operand, parameter: operand)
    backend.perform(.adamW(step, operands, count: count))
  }
}
