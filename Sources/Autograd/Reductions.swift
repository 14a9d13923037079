import Backends
import TensorCore

extension Tensor {
  /// The sum of all elements, of shape `[]`.
  public func sum() -> Tensor {
    let result = Tensor(uninitialized: [], on: backend)
    backend.perform(.sum(operand, count: count, into: result.operand))
    guard isRecording(self) else { return result }
    let (shape, format) = (shape, format)
    return result.recorded(from: [self]) { gradient in
      let broadcast = Broadcast(outer: 1, repeats: shape.reduce(1, *), inner: 1)
      return [gradient.repeated(broadcast, shape: shape, format)]
    }
  }

  /// The mean of all elements, of shape `[]`.
  public func mean() -> Tensor { sum().scaled(by: 1 / Float(count)) }

  /// The sum over the axes from `axes.lowerBound` to before `axes.upperBound`, which disappear; in single
  /// precision.
  public func sum(over axes: Range<Int>) -> Tensor {
    let broadcast = Broadcast(
      outer: shape[..<axes.lowerBound].reduce(1, *), repeats: shape[axes].reduce(1, *),
      inner: shape[axes.upperBound...].reduce(1, *))
    let result = Tensor(
      uninitialized: Array(shape[..<axes.lowerBound] + shape[axes.upperBound...]), on: backend)
    if broadcast.repeats == 1 {
      result.assign(reshaped(to: result.shape))
    } else {
      backend.perform(.sumRepeats(operand, into: result.operand, broadcast))
    }
    guard isRecording(self) else { return result }
    let (shape, format) = (shape, format)
    return result.recorded(from: [self]) { [$0.repeated(broadcast, shape: shape, format)] }
  }

  /// The adjoint of a sum: every number as often as `broadcast` says.
  private func repeated(
    _ broadcast: Broadcast, shape: [Int], _ format: NumberFormat
  ) -> Tensor {
    let result = Tensor(zeros: shape, format: format, on: backend)
    backend.perform(.combine(.add, result.operand, operand, into: result.operand, broadcast))
    return result
  }

  /// The mean over the axes from `axes.lowerBound` to before `axes.upperBound`, which disappear.
  public func mean(over axes: Range<Int>) -> Tensor {
    sum(over: axes).scaled(by: 1 / Float(shape[axes].reduce(1, *)))
  }

  /// Rows (last axis) divided by their Euclidean norm.
  ///
  ///     y = x / |x|,  dx = (dy - y (y . dy)) / |x|
  public func normalizedRows() -> Tensor {
    let width = shape[shape.count - 1]
    let rows = count / width
    let result = Tensor(uninitialized: shape, like: self)
    backend.perform(.normalizeLengths(operand, into: result.operand, rows: rows, width: width))
    guard isRecording(self) else { return result }
    let (input, output) = (detached, result)
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: input.shape, like: input)
      input.backend.perform(
        .normalizeLengthsGradient(
          NormalizedLengthsGradient(
            input: input.operand, output: output.operand, outputGradient: gradient.operand,
            into: inputGradient.operand, rows: rows, width: width)))
      return [inputGradient]
    }
  }

  /// The logarithm of the softmax over the last axis.
  ///
  ///     y = x - log sum exp x,  dx = dy - exp(y) sum dy
  public func logSoftmax() -> Tensor {
    let width = shape[shape.count - 1]
    let rows = count / width
    let result = Tensor(uninitialized: shape, like: self)
    backend.perform(.logSoftmax(operand, into: result.operand, rows: rows, width: width))
    guard isRecording(self) else { return result }
    let output = result
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: output.shape, like: output)
      output.backend.perform(
        .logSoftmaxGradient(
          output: output.operand, gradient.operand, into: inputGradient.operand, rows: rows,
          width: width))
      return [inputGradient]
    }
  }
}
