import Autograd
import Foundation
import RandomStreams
import TensorCore
import Testing

/// An operation under test: how to call it and with operands of which shapes.
struct OperationCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let shapes: [[Int]]
  let apply: @Sendable ([Tensor]) -> Tensor

  init(_ name: String, _ shapes: [[Int]], _ apply: @escaping @Sendable ([Tensor]) -> Tensor) {
    testDescription = name
    self.shapes = shapes
    self.apply = apply
  }
}

/// Every differentiable operation.
///
/// A new one adds a line here.
let operations: [OperationCase] = [
  .init("add", [[2, 3, 5], [2, 3, 5]]) { $0[0] + $0[1] },
  .init("add a repeated row", [[4, 3, 9], [9]]) { $0[0] + $0[1] },
  .init("add to a smaller operand", [[3, 1], [3, 17]]) { $0[0] + $0[1] },
  .init("add between", [[2, 1, 1, 5], [2, 3, 4, 5]]) { $0[0] + $0[1] },
  .init("add a tensor to itself", [[3, 4]]) { $0[0] + $0[0] },
  .init("subtract", [[2, 9], [2, 9]]) { $0[0] - $0[1] },
  .init("subtract a scalar", [[2, 9], []]) { $0[0] - $0[1] },
  .init("multiply", [[2, 3, 5], [2, 3, 5]]) { $0[0] * $0[1] },
  .init("multiply between", [[2, 7, 3], [2, 1, 3]]) { $0[0] * $0[1] },
  .init("multiply by a column", [[5, 11], [5, 1]]) { $0[0] * $0[1] },
  .init("scale and shift", [[13]]) { $0[0].scaled(by: -1.5, adding: 2) },
  .init("silu", [[3, 7]]) { silu($0[0]) },
  .init("gelu", [[3, 7]]) { activated($0[0], by: .gelu) },
  .init("quick gelu", [[3, 7]]) { activated($0[0], by: .quickGELU) },
  .init("gated gelu", [[3, 22]]) { gatedGELU($0[0]) },
  .init("exponential", [[7]]) { $0[0].mapped(by: .exponential) },
  .init("square", [[7]]) { $0[0].mapped(by: .square) },
  .init("absolute", [[7]]) { $0[0].mapped(by: .absolute) },
  .init("log sigmoid", [[7]]) { $0[0].mapped(by: .logSigmoid) },
  .init("clamp", [[40]]) { $0[0].clamped(to: -0.4...0.9) },
  .init("sum", [[3, 5]]) { $0[0].sum() },
  .init("sum over the first axis", [[30, 5]]) { $0[0].sum(over: 0..<1) },
  .init("sum over the last axis", [[3, 50]]) { $0[0].sum(over: 1..<2) },
  .init("mean over middle axes", [[2, 3, 4, 5]]) { $0[0].mean(over: 1..<3) },
  .init("normalized rows", [[3, 5]]) { $0[0].normalizedRows() },
  .init("log softmax", [[3, 5]]) { $0[0].logSoftmax() },
  .init("reshape", [[3, 4]]) { $0[0].reshaped(to: [2, 6]) },
  .init("slice of the first axis", [[4, 3]]) { $0[0].slice(axis: 0, 1..<3) },
  .init("slice of a middle axis", [[2, 5, 3]]) { $0[0].slice(axis: 1, 1..<4) },
  .init("slice of the last axis", [[2, 3, 5]]) { $0[0].slice(axis: 2, 2..<5) },
  .init("rows", [[5, 3]]) { $0[0].rows(at: [4, 0, 4, 2]) },
  .init("repeat", [[2, 3]]) { $0[0].repeated(3) },
  .init("transpose", [[2, 3, 4]]) { $0[0].transposed() },
  .init("concatenate rows", [[2, 3], [4, 3]]) { concatenated($0, axis: 0) },
  .init("concatenate columns", [[2, 3], [2, 1], [2, 4]]) { concatenated($0, axis: 1) },
  .init("upsample", [[2, 3, 2, 5]]) { upsampledNearest2x($0[0]) },
  .init("resize up", [[1, 3, 4, 2]]) { resizedBicubic($0[0], height: 7, width: 5) },
  .init("resize down", [[2, 9, 7, 3]]) { resizedBicubic($0[0], height: 4, width: 3) },
  .init("linear", [[2, 3, 5], [4, 5], [4]]) { linear($0[0], weight: $0[1], bias: $0[2]) },
  .init("linear without bias", [[3, 5], [4, 5]]) { linear($0[0], weight: $0[1]) },
  .init(
    "linear with low-rank terms", [[2, 3, 5], [4, 5], [4], [2, 5], [4, 2], [1, 5], [4, 1]]
  ) {
    linear(
      $0[0], weight: .full($0[1]), bias: $0[2],
      terms: [
        LowRankTerm(down: $0[3], up: $0[4], scale: 1),
        LowRankTerm(down: $0[5], up: $0[6], scale: -0.5),
      ])
  },
  .init("linear with a low-rank term of half scale", [[7, 5], [4, 5], [2, 5], [4, 2]]) {
    linear(
      $0[0], weight: .full($0[1]), terms: [LowRankTerm(down: $0[2], up: $0[3], scale: 0.5)])
  },
  .init("linear with a low-rank term and many rows", [[24, 16], [16, 16], [3, 16], [16, 3]]) {
    linear(
      $0[0], weight: .full($0[1]), terms: [LowRankTerm(down: $0[2], up: $0[3], scale: 0.5)])
  },
  .init("group norm", [[2, 3, 4, 6], [6], [6]]) {
    groupNormalized($0[0], gamma: $0[1], beta: $0[2], groups: 3, epsilon: 1e-5)
  },
  .init("group norm and silu", [[2, 5, 20], [20], [20]]) {
    groupNormalized(
      $0[0], gamma: $0[1], beta: $0[2], groups: 4, epsilon: 1e-5, appliesSiLU: true)
  },
  .init("layer norm", [[3, 4, 13], [13], [13]]) {
    layerNormalized($0[0], gamma: $0[1], beta: $0[2], epsilon: 1e-5)
  },
  .init("attention", [[2, 5, 6], [2, 7, 6], [2, 7, 6]]) {
    attention(query: $0[0], key: $0[1], value: $0[2], heads: 2)
  },
  .init("causal attention", [[2, 5, 6], [2, 5, 6], [2, 5, 6]]) {
    attention(query: $0[0], key: $0[1], value: $0[2], heads: 3, isCausal: true)
  },
  .init("convolution", [[2, 5, 4, 3], [3, 3, 3, 2], [2]]) {
    convolution($0[0], weight: $0[1], bias: $0[2], stride: 1, padding: (1, 1, 1, 1))
  },
  .init("convolution of stride 2", [[2, 6, 5, 3], [3, 3, 3, 4], [4]]) {
    convolution($0[0], weight: $0[1], bias: $0[2], stride: 2, padding: (0, 0, 1, 1))
  },
  .init("convolution of an upsampled image", [[2, 3, 2, 3], [3, 3, 3, 2], [2]]) {
    convolution(
      $0[0], weight: $0[1], bias: $0[2], stride: 1, padding: (1, 1, 1, 1), upsamples: true)
  },
  .init("convolution of patches", [[1, 4, 6, 3], [2, 2, 3, 5], [5]]) {
    convolution($0[0], weight: $0[1], bias: $0[2], stride: 2, padding: (0, 0, 0, 0))
  },
]

private func convolution(
  _ x: Tensor, weight: Tensor, bias: Tensor, stride: Int,
  padding: (top: Int, left: Int, bottom: Int, right: Int), upsamples: Bool = false
) -> Tensor {
  let factor = upsamples ? 2 : 1
  return convolution(
    x, weight: weight, prepared: weight.convolutionOperand(), bias: bias,
    ConvolutionShape(
      batch: x.shape[0], height: factor * x.shape[1], width: factor * x.shape[2],
      inputChannels: x.shape[3], outputChannels: weight.shape[3],
      kernel: (weight.shape[0], weight.shape[1]), stride: stride, padding: padding),
    upsamples: upsamples)
}

@Suite("Gradients")
struct GradientTests {
  /// Central differences of `sum(output * weights)` with steps of 1e-2 in single precision leave
  /// errors of about 1e-4 of the values' size; a wrong rule is off by its own size.
  @Test("every operation's gradient is its slope", arguments: operations)
  func gradientIsSlope(operation: OperationCase) {
    var stream = RandomStream(seed: 7, purpose: operation.testDescription)
    let operands = operation.shapes.map { shape in
      Tensor((0..<shape.reduce(1, *)).map { _ in stream.normal() }, shape: shape).trainable()
    }
    let output = operation.apply(operands)
    let weights = (0..<output.count).map { _ in stream.normal() }
    let found = gradients(
      of: output, for: operands, outputGradient: Tensor(weights, shape: output.shape))

    func loss(_ operands: [Tensor]) -> Double {
      let values = withoutGradients { operation.apply(operands).values }
      return zip(values, weights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    let step: Float = 1e-2
    for (index, operand) in operands.enumerated() {
      guard let gradient = found[index]?.values else {
        Issue.record("operand \(index) has no gradient")
        continue
      }
      for element in 0..<operand.count {
        var slopes: [Double] = []
        for distance in [step, step / 2] {
          var values = operand.values
          let center = values[element]
          values[element] = center + distance
          let above = loss(operands.replacing(index, with: Tensor(values, shape: operand.shape)))
          values[element] = center - distance
          let below = loss(operands.replacing(index, with: Tensor(values, shape: operand.shape)))
          slopes.append((above - below) / Double(2 * distance))
        }
        // Richardson's extrapolation removes the quadratic error of the differences.
        let slope = (4 * slopes[1] - slopes[0]) / 3
        let kink = abs(slopes[0] - slopes[1]) > 0.05 * max(1, abs(slope))
        if kink && ["clamp", "absolute"].contains(operation.testDescription) { continue }
        #expect(
          abs(Double(gradient[element]) - slope) <= 2e-3 * max(1, abs(slope)),
          "operand \(index), element \(element): \(gradient[element]), slope \(slope)")
      }
    }
  }

  @Test("a frozen operand gets no gradient and changes none", arguments: operations)
  func frozenOperands(operation: OperationCase) {
    var stream = RandomStream(seed: 8, purpose: operation.testDescription)
    let values = operation.shapes.map { shape in
      Tensor((0..<shape.reduce(1, *)).map { _ in stream.normal() }, shape: shape)
    }
    let all = values.map { $0.trainable() }
    let output = operation.apply(all)
    let weights = Tensor((0..<output.count).map { _ in stream.normal() }, shape: output.shape)
    let expected = gradients(of: output, for: all, outputGradient: weights)
    for index in values.indices {
      let only = values.enumerated().map { $0.offset == index ? all[index] : $0.element }
      let found = gradients(of: operation.apply(only), for: all, outputGradient: weights)
      for other in values.indices {
        #expect(found[other]?.values == (other == index ? expected[other]?.values : nil))
      }
    }
  }

  @Test("without gradients nothing is recorded")
  func nothingRecorded() {
    let x = Tensor([1, 2], shape: [2]).trainable()
    #expect(!withoutGradients { (x * x).requiresGradient })
    #expect((x * x).requiresGradient)
  }

  @Test("a tensor used many times collects all its gradients")
  func reuse() {
    // y = x^2 + 3 x, dy/dx = 2 x + 3
    let x = Tensor([2, -1], shape: [2]).trainable()
    let y = (x * x + x + x + x).sum()
    #expect(gradients(of: y, for: [x])[0]?.values == [7, 1])
  }

  @Test("a graph a hundred thousand operations deep is walked")
  func deepGraph() {
    let x = Tensor(1).trainable()
    var y = x
    for _ in 0..<100_000 { y = y.scaled(by: 1, adding: 1) }
    #expect(gradients(of: y, for: [x])[0]?.values == [1])
  }
}

extension [Tensor] {
  fileprivate func replacing(_ index: Int, with tensor: Tensor) -> [Tensor] {
    var copy = self
    copy[index] = tensor
    return copy
  }
}
