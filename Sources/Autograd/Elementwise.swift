import Backends
public import TensorCore

extension Tensor {
  /// `a + b`; either operand may repeat along axes where it has extent 1 or none.
  ///
  /// The result has the format of the operand that does not repeat.
  public static func + (a: Tensor, b: Tensor) -> Tensor {
    let (result, broadcast, isSwapped) = combined(.add, a, b)
    guard isRecording(a, b) else { return result }
    let (large, small) = isSwapped ? (b, a) : (a, b)
    let (smallShape, smallFormat) = (small.shape, small.format)
    let (needsLarge, needsSmall) = (large.requiresGradient, small.requiresGradient)
    return result.recorded(from: [large, small]) { gradient in
      [
        needsLarge ? gradient : nil,
        needsSmall ? gradient.summed(broadcast, shape: smallShape, smallFormat) : nil,
      ]
    }
  }

  /// `a - b`, where `b` has at most the extent of `a`.
  public static func - (a: Tensor, b: Tensor) -> Tensor {
    let (result, broadcast, isSwapped) = combined(.subtract, a, b)
    precondition(!isSwapped, "cannot subtract shape \(b.shape) from the smaller \(a.shape)")
    guard isRecording(a, b) else { return result }
    let (smallShape, smallFormat) = (b.shape, b.format)
    let (needsLarge, needsSmall) = (a.requiresGradient, b.requiresGradient)
    return result.recorded(from: [a, b]) { gradient in
      [
        needsLarge ? gradient : nil,
        needsSmall
          ? gradient.summed(broadcast, shape: smallShape, smallFormat).scaled(by: -1) : nil,
      ]
    }
  }

  /// The elementwise product; either operand may repeat.
  public static func * (a: Tensor, b: Tensor) -> Tensor {
    let (result, broadcast, isSwapped) = combined(.multiply, a, b)
    guard isRecording(a, b) else { return result }
    let (large, small) = isSwapped ? (b, a) : (a, b)
    let (needsLarge, needsSmall) = (large.requiresGradient, small.requiresGradient)
    let keptSmall = needsLarge ? small.detached : nil
    let keptLarge = needsSmall ? large.detached : nil
    let (smallShape, smallFormat) = (small.shape, small.format)
    return result.recorded(from: [large, small]) { gradient in
      [
        keptSmall.map { gradient * $0 },
        keptLarge.map { (gradient * $0).summed(broadcast, shape: smallShape, smallFormat) },
      ]
    }
  }

  /// `scale * x + offset`.
  public func scaled(by scale: Float, adding offset: Float = 0) -> Tensor {
    let result = Tensor(uninitialized: shape, like: self)
    backend.perform(
      .scaleAndShift(operand, into: result.operand, count: count, scale: scale, offset: offset))
    guard isRecording(self) else { return result }
    return result.recorded(from: [self]) { [$0.scaled(by: scale)] }
  }

  private static func combined(
    _ operation: BinaryOperation, _ a: Tensor, _ b: Tensor
  ) -> (Tensor, Broadcast, isSwapped: Bool) {
    if let broadcast = Broadcast(of: b.shape, over: a.shape) {
      let result = Tensor(uninitialized: a.shape, like: a)
      a.backend.perform(
        .combine(operation, a.operand, b.operand, into: result.operand, broadcast))
      return (result, broadcast, false)
    }
    guard operation != .subtract, let broadcast = Broadcast(of: a.shape, over: b.shape) else {
      preconditionFailure("\(operation): shapes \(a.shape) and \(b.shape) do not fit")
    }
    let result = Tensor(uninitialized: b.shape, like: b)
    b.backend.perform(.combine(operation, b.operand, a.operand, into: result.operand, broadcast))
    return (result, broadcast, true)
  }

  /// The adjoint of repeating a tensor of shape `shape` as `broadcast` says.
  private func summed(_ broadcast: Broadcast, shape: [Int], _ format: NumberFormat) -> Tensor {
    if broadcast.repeats == 1 { return reshaped(to: shape).converted(to: format) }
    let result = Tensor(uninitialized: shape, format: format, on: backend)
    backend.perform(.sumRepeats(operand, into: result.operand, broadcast))
    return result
  }
}

extension Broadcast {
  /// Returns how `small` broadcasts to `large`; nil if it cannot.
  ///
  /// Axes are aligned at the end; the extents of
  /// 1 that repeat must be neighbours.
  init?(of small: [Int], over large: [Int]) {
    guard small.count <= large.count else { return nil }
    let padded = [Int](repeating: 1, count: large.count - small.count) + small
    var outer = 1
    var repeats = 1
    var inner = 1
    for (extent, fullExtent) in zip(padded, large) {
      if extent == fullExtent {
        if fullExtent == 1 { continue }
        if repeats == 1 { outer *= extent } else { inner *= extent }
      } else {
        guard extent == 1, inner == 1 else { return nil }
        repeats *= fullExtent
      }
    }
    self.init(outer: outer, repeats: repeats, inner: inner)
  }
}

/// `activation(x)`, elementwise.
public func activated(_ x: Tensor, by activation: Activation) -> Tensor {
  let result = Tensor(uninitialized: x.shape, like: x)
  x.backend.perform(.activate(activation, x.operand, into: result.operand, count: x.count))
  guard isRecording(x) else { return result }
  let input = x.detached
  return result.recorded(from: [x]) { gradient in
    let inputGradient = Tensor(uninitialized: input.shape, like: input)
    input.backend.perform(
      .activationGradient(
        activation, input.operand, gradient.operand, into: inputGradient.operand,
        count: input.count))
    return [inputGradient]
  }
}

public func silu(_ x: Tensor) -> Tensor { activated(x, by: .silu) }

/// `value * gelu(gate)` of the two halves of the last axis: `[..., 2 width]` to `[..., width]`.
public func gatedGELU(_ x: Tensor) -> Tensor {
  let width = x.shape[x.shape.count - 1] / 2
  let rows = x.count / (2 * width)
  let result = Tensor(uninitialized: x.shape.dropLast() + [width], like: x)
  x.backend.perform(.gatedGELU(x.operand, into: result.operand, rows: rows, width: width))
  guard isRecording(x) else { return result }
  let input = x.detached
  return result.recorded(from: [x]) { gradient in
    let inputGradient = Tensor(uninitialized: input.shape, like: input)
    input.backend.perform(
      .gatedGELUGradient(
        input.operand, gradient.operand, into: inputGradient.operand, rows: rows, width: width))
    return [inputGradient]
  }
}

extension Tensor {
  /// `function(x)`, elementwise.
  public func mapped(by function: ScalarFunction) -> Tensor {
    let result = Tensor(uninitialized: shape, like: self)
    backend.perform(.evaluate(function, operand, into: result.operand, count: count))
    guard isRecording(self) else { return result }
    let input = detached
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: input.shape, like: input)
      input.backend.perform(
        .evaluateGradient(
          function, input.operand, gradient.operand, into: inputGradient.operand,
          count: input.count))
      return [inputGradient]
    }
  }

  /// Each element limited to `range`; the gradient is 0 outside it.
  public func clamped(to range: ClosedRange<Float>) -> Tensor {
    let result = Tensor(uninitialized: shape, like: self)
    backend.perform(.clamp(operand, into: result.operand, count: count, range))
    guard isRecording(self) else { return result }
    let input = detached
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(uninitialized: input.shape, like: input)
      input.backend.perform(
        .clampGradient(
          input.operand, gradient.operand, into: inputGradient.operand, count: input.count, range))
      return [inputGradient]
    }
  }
}
