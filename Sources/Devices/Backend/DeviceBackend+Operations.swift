import Backends
import HostResources
import TensorCore

extension DeviceBackend {
  func run(_ operation: Operation) throws(DeviceError) {
    switch operation {
    case .fill(let target, let count, let value):
      try elements("fill", count, [target], then: [.float(value)])
    case .combine(let kind, let a, let b, let output, let broadcast):
      try launch(
        "combine", of: .elementwise, activationDefinitions([a, output], other: b),
        items: broadcast.count,
        [
          memory(a), memory(b), memory(output), kind.code, .extent(broadcast.count),
          .extent(broadcast.repeats), .extent(broadcast.inner),
        ])
    case .sumRepeats(let input, let output, let broadcast):
      try sumRepeats(numbers(input), into: numbers(output), broadcast)
    case .sum(let input, let count, let output):
      try sum(numbers(input), count: count, into: numbers(output))
    case .scaleAndShift(let input, let output, let count, let scale, let offset):
      try elements(
        "scaleAndShift", count, [input, output], then: [.float(scale), .float(offset)])
    case .addScaled(let input, let output, let count, let scale):
      try elements("addScaled", count, [input, output], then: [.float(scale)])
    case .clamp(let input, let output, let count, let range):
      try elements(
        "clampElements", count, [input, output],
        then: [.float(range.lowerBound), .float(range.upperBound)])
    case .clampGradient(let input, let gradient, let output, let count, let range):
      try elements(
        "clampGradient", count, [input, gradient, output],
        then: [.float(range.lowerBound), .float(range.upperBound)])
    case .activate(let activation, let input, let output, let count):
      try elements("activate", count, [input, output], activation.code)
    case .activationGradient(let activation, let input, let gradient, let output, let count):
      try elements("activationGradient", count, [input, gradient, output], activation.code)
    case .gatedGELU(let input, let output, let rows, let width):
      try elements("gatedGELU", rows * width, [input, output], then: [.extent(width)])
    case .gatedGELUGradient(let input, let gradient, let output, let rows, let width):
      try elements(
        "gatedGELUGradient", rows * width, [input, gradient, output], then: [.extent(width)])
    case .evaluate(let function, let input, let output, let count):
      try elements("evaluate", count, [input, output], function.code)
    case .evaluateGradient(let function, let input, let gradient, let output, let count):
      try elements("evaluateGradient", count, [input, gradient, output], function.code)
    case .adamW(let step, let operands, let count): try run(step, operands, count: count)

    case .normalizeLengths(let input, let output, let rows, let width):
      try eachRow("normalizeLengths", rows, [input, output], width)
    case .normalizeLengthsGradient(let gradient):
      try eachRow(
        "normalizeLengthsGradient", gradient.rows,
        [gradient.input, gradient.output, gradient.outputGradient, gradient.inputGradient],
        gradient.width)
    case .logSoftmax(let input, let output, let rows, let width):
      try eachRow("logSoftmax", rows, [input, output], width)
    case .logSoftmaxGradient(let output, let gradient, let inputGradient, let rows, let width):
      try eachRow("logSoftmaxGradient", rows, [output, gradient, inputGradient], width)
    case .normalizeRows(let operands): try run(operands)
    case .normalizeRowsGradient(let operands): try run(operands)
    case .normalizeGroups(let operands): try run(operands)
    case .normalizeGroupsGradient(let operands): try run(operands)

    case .convert(let input, let output, let count):
      try copyRows(
        input, stride: count, into: output, outputStride: count, rows: 1, width: count)
    case .copyRows(let input, let stride, let output, let outputStride, let rows, let width):
      try copyRows(
        input, stride: stride, into: output, outputStride: outputStride, rows: rows, width: width)
    case .gatherRows(let input, let indices, let output, let width):
      try gatherRows(input, at: indices, into: output, width: width)
    case .scatterRows(let input, let indices, let output, let width):
      try scatterRows(input, at: indices, to: output, width: width)
    case .transpose(let input, let output, let batch, let rows, let columns, let width):
      let count = batch * rows * columns * width
      try launch(
        "transpose", of: .movement, activationDefinitions([input, output]), items: count,
        [
          memory(input), memory(output), .extent(count), .extent(rows), .extent(columns),
          .extent(width),
        ])
    case .upsampleNearest(let input, let output, let shape):
      try launch(
        "upsampleNearest", of: .movement, activationDefinitions([input, output]),
        items: 4 * shape.count,
        [
          memory(input), memory(output), .extent(4 * shape.count), .extent(shape.width),
          .extent(shape.channels),
        ])
    case .upsampleNearestGradient(let input, let output, let shape):
      try launch(
        "upsampleNearestGradient", of: .movement, activationDefinitions([input, output]),
        items: shape.count,
        [
          memory(input), memory(output), .extent(shape.count), .extent(shape.width),
          .extent(shape.channels),
        ])
    case .resample(let input, let output, let how): try resample(input, into: output, how)
    case .resampleGradient(let gradient, let output, let how):
      try resampleGradient(gradient, into: output, how)

    case .multiply(let product): try run(product)
    case .convolve(let convolution): try run(convolution)
    case .convolveInputGradient(let gradient): try run(gradient)
    case .convolveWeightGradient(let gradient): try run(gradient)
    case .attend(let attention): try run(attention)
    case .attendGradients(let gradients): try run(gradients)
    }
  }

  /// A kernel whose parameters are operands of one format, perhaps a number, their elements, and others.
  private func elements(
    _ kernel: String, _ count: Int, _ operands: [Operand], _ code: KernelArgument? = nil,
    then others: [KernelArgument] = []
  ) throws(DeviceError) {
    try launch(
      kernel, of: .elementwise, activationDefinitions(operands), items: count,
      operands.map { memory($0) } + (code.map { [$0] } ?? []) + [.extent(count)] + others)
  }

  /// A kernel with a group for each row.
  private func eachRow(
    _ kernel: String, _ rows: Int, _ operands: [Operand], _ width: Int
  ) throws(DeviceError) {
    try launch(
      kernel, of: .rows, activationDefinitions(operands), groups: (rows, 1),
      operands.map { memory($0) } + [.extent(width)])
  }

  private func run(
    _ step: AdamWStep, _ operands: AdamWOperands, count: Int
  ) throws(DeviceError) {
    try elements(
      "adamW", count, [operands.gradient, operands.mean, operands.square, operands.parameter],
      then: [
        .float(step.beta1), .float(step.beta2), .float(step.epsilon), .float(step.decay),
        .float(step.rate), .float(step.squareScale),
      ])
  }
}

// The numbers by which kernels know functions.

extension BinaryOperation {
  fileprivate var code: KernelArgument {
    switch self {
    case .add: .word(0)
    case .subtract: .word(1)
    case .multiply: .word(2)
    }
  }
}

extension Activation {
  fileprivate var code: KernelArgument {
    switch self {
    case .silu: .word(0)
    case .gelu: .word(1)
    case .quickGELU: .word(2)
    }
  }
}

extension ScalarFunction {
  fileprivate var code: KernelArgument {
    switch self {
    case .exponential: .word(0)
    case .square: .word(1)
    case .absolute: .word(2)
    case .logSigmoid: .word(3)
    }
  }
}
