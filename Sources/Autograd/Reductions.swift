import Foundation
import TensorCore

extension Tensor {
  /// The sum of all elements, of shape `[]`.
  public func sum() -> Tensor {
    let result = Tensor(Float(TensorCore.sum(pointer, count: count)))
    guard isRecording(self) else { return result }
    let shape = shape
    return result.recorded(from: [self]) { [Tensor(repeating: $0.scalar, shape: shape)] }
  }

  /// The mean of all elements, of shape `[]`.
  public func mean() -> Tensor { sum().scaled(by: 1 / Float(count)) }

  /// The sum over the axes from `axes.lowerBound` to before `axes.upperBound`, which disappear.
  public func sum(over axes: Range<Int>) -> Tensor {
    let broadcast = Broadcast(
      outer: shape[..<axes.lowerBound].reduce(1, *), repeats: shape[axes].reduce(1, *),
      inner: shape[axes.upperBound...].reduce(1, *))
    let result = Tensor(uninitialized: Array(shape[..<axes.lowerBound] + shape[axes.upperBound...]))
    if broadcast.repeats == 1 {
      result.pointer.update(from: pointer, count: count)
    } else {
      sumRepeats(pointer, into: result.pointer, broadcast)
    }
    guard isRecording(self) else { return result }
    let shape = shape
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(repeating: 0, shape: shape)
      combine(
        .add, inputGradient.pointer, gradient.pointer, into: inputGradient.pointer, broadcast)
      return [inputGradient]
    }
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
    let result = Tensor(uninitialized: shape)
    var norms: [Double] = []
    for row in 0..<rows {
      let x = pointer + row * width
      let norm = dotProduct(x, x, count: width).squareRoot()
      norms.append(norm)
      scaleAndShift(x, into: result.pointer + row * width, count: width, scale: Float(1 / norm))
    }
    guard isRecording(self) else { return result }
    let output = result
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: output.shape)
      for row in 0..<rows {
        let y = output.pointer + row * width
        let dy = gradient.pointer + row * width
        let dx = inputGradient.pointer + row * width
        let projection = dotProduct(y, dy, count: width)
        scaleAndShift(dy, into: dx, count: width, scale: Float(1 / norms[row]))
        addScaled(y, to: dx, count: width, scale: Float(-projection / norms[row]))
      }
      return [inputGradient]
    }
  }

  /// The logarithm of the softmax over the last axis.
  ///
  ///     y = x - log sum exp x,  dx = dy - exp(y) sum dy
  public func logSoftmax() -> Tensor {
    let width = shape[shape.count - 1]
    let result = Tensor(uninitialized: shape)
    for row in 0..<count / width {
      let x = UnsafeBufferPointer(start: pointer + row * width, count: width)
      let largest = Double(x.max() ?? 0)
      let total = x.reduce(0.0) { $0 + exp(Double($1) - largest) }
      let normalizer = largest + log(total)
      for column in 0..<width {
        result.pointer[row * width + column] = Float(Double(x[column]) - normalizer)
      }
    }
    guard isRecording(self) else { return result }
    let output = result
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: output.shape)
      for row in 0..<output.count / width {
        let dy = gradient.pointer + row * width
        let total = TensorCore.sum(dy, count: width)
        for column in 0..<width {
          let probability = exp(Double(output.pointer[row * width + column]))
          inputGradient.pointer[row * width + column] = Float(
            Double(dy[column]) - probability * total)
        }
      }
      return [inputGradient]
    }
  }
}
