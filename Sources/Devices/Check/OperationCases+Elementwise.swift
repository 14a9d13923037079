import Backends
import TensorCore

extension OperationCase {
  /// One over a multiple of the group size.
  private static let count = 513

  static let elementwise: [OperationCase] =
    [
      OperationCase("fill", tolerance: 0) { work in
        let y = work.blankActivations(count)
        work.backend.perform(.fill(y, count: count, value: 0.5))
        return [Written(operand: y, count: count)]
      },
      OperationCase("scale and shift", roundings: 3) { work in
        let (x, y) = (work.activations(count), work.blankActivations(count))
        work.backend.perform(.scaleAndShift(x, into: y, count: count, scale: 3, offset: -0.5))
        work.backend.perform(.scaleAndShift(y, into: y, count: count, scale: 2, offset: 0))
        return [Written(operand: y, count: count)]
      },
      OperationCase("add scaled") { work in
        let (x, y) = (work.activations(count), work.activations(count))
        work.backend.perform(.addScaled(x, to: y, count: count, scale: -0.7))
        return [Written(operand: y, count: count)]
      },
      OperationCase("clamp", tolerance: 0) { work in
        let (x, dy) = (work.activations(count), work.activations(count))
        let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
        work.backend.perform(.clamp(x, into: y, count: count, -0.5...0.25))
        work.backend.perform(.clampGradient(x, dy, into: dx, count: count, -0.5...0.25))
        return [Written(operand: y, count: count), Written(operand: dx, count: count)]
      },
      OperationCase("gated GELU") { work in
        let (rows, width) = (19, 27)
        let (x, dy) = (work.activations(2 * rows * width, scale: 4), work.activations(rows * width))
        let (y, dx) = (work.blankActivations(rows * width), work.blankActivations(2 * rows * width))
        work.backend.perform(.gatedGELU(x, into: y, rows: rows, width: width))
        work.backend.perform(.gatedGELUGradient(x, dy, into: dx, rows: rows, width: width))
        return [
          Written(operand: y, count: rows * width), Written(operand: dx, count: 2 * rows * width),
        ]
      },
      OperationCase("AdamW", halfFormats: []) { work in
        let gradient = work.numbers(count)
        let (mean, parameter) = (work.numbers(count), work.numbers(count))
        let square = work.numbers(count, scale: 0.4, offset: 0.5)
        let step = AdamWStep(
          beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.99, rate: 0.01, squareScale: 1.5)
        work.backend.perform(
          .adamW(
            step,
            AdamWOperands(gradient: gradient, mean: mean, square: square, parameter: parameter),
            count: count))
        return [mean, square, parameter].map { Written(operand: $0, count: count) }
      },
    ] + combinations + activations + functions

  private static let combinations = [BinaryOperation.add, .subtract, .multiply].flatMap { kind in
    [
      Broadcast(outer: count, repeats: 1, inner: 1), Broadcast(outer: 5, repeats: 7, inner: 19),
      Broadcast(outer: 300, repeats: 2, inner: 1), Broadcast(outer: 1, repeats: 31, inner: 17),
    ].map { broadcast in
      OperationCase("\(kind) \(broadcast.label)", tolerance: 1e-7) { work in
        let a = work.activations(broadcast.count)
        // A parameter, or an activation as well.
        let count = broadcast.outer * broadcast.inner
        let b = broadcast.inner == 17 ? work.numbers(count) : work.activations(count)
        let y = work.blankActivations(broadcast.count)
        work.backend.perform(.combine(kind, a, b, into: y, broadcast))
        return [Written(operand: y, count: broadcast.count)]
      }
    }
  }

  private static let activations = [Activation.silu, .gelu, .quickGELU].map { activation in
    OperationCase("\(activation.rawValue)") { work in
      let (x, dy) = (work.activations(count, scale: 9), work.activations(count))
      let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
      work.backend.perform(.activate(activation, x, into: y, count: count))
      work.backend.perform(.activationGradient(activation, x, dy, into: dx, count: count))
      return [Written(operand: y, count: count), Written(operand: dx, count: count)]
    }
  }

  private static let functions = [
    ScalarFunction.exponential, .square, .absolute, .logSigmoid,
  ].map { function in
    OperationCase("\(function)") { work in
      let (x, dy) = (work.activations(count, scale: 9), work.activations(count))
      let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
      work.backend.perform(.evaluate(function, x, into: y, count: count))
      work.backend.perform(.evaluateGradient(function, x, dy, into: dx, count: count))
      return [Written(operand: y, count: count), Written(operand: dx, count: count)]
    }
  }
}

extension Broadcast {
  var label: String { "\(outer) x \(repeats) x \(inner)" }
}
