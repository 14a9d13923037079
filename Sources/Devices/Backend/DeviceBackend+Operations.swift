import Backends
import HostResources
import TensorCore

extension DeviceBackend {
  func run(_ operation: Operation) throws(DeviceError) {
    switch operation {
    case .fill(let target, let count, let value):
      try elements("fill", count, [memory(target)], [.float(value)])
    case .combine(let kind, let a, let b, let output, let broadcast):
      try launch(
        "combine", of: .elementwise, items: broadcast.count,
        [
          memory(a), memory(b), memory(output), kind.code, .extent(broadcast.count),
          .extent(broadcast.repeats), .extent(broadcast.inner),
        ])
    case .sumRepeats(let input, let output, let broadcast):
      try sumRepeats(memory(input), into: memory(output), broadcast)
    case .sum(let input, let count, let output):
      try sum(memory(input), count: count, into: memory(output))
    case .scaleAndShift(let input, let output, let count, let scale, let offset):
      try elements(
        "scaleAndShift", count, [memory(input), memory(output)], [.float(scale), .float(offset)])
    case .addScaled(let input, let output, let count, let scale):
      try elements("addScaled", count, [memory(input), memory(output)], [.float(scale)])
    case .clamp(let input, let output, let count, let range):
      try elements(
        "clampElements", count, [memory(input), memory(output)],
        [.float(range.lowerBound), .float(range.upperBound)])
    case .clampGradient(let input, let gradient, let output, let count, let range):
      try elements(
        "clampGradient", count, [memory(input), memory(gradient), memory(output)],
        [.float(range.lowerBound), .float(range.upperBound)])
    case .activate(let activation, let input, let output, let count):
      try elements("activate", count, [memory(input), memory(output), activation.code])
    case .activationGradient(let activation, let input, let gradient, let output, let count):
      try elements(
        "activationGradient", count,
        [memory(input), memory(gradient), memory(output), activation.code])
    case .gatedGELU(let input, let output, let rows, let width):
      try elements("gatedGELU", rows * width, [memory(input), memory(output)], [.extent(width)])
    case .gatedGELUGradient(let input, let gradient, let output, let rows, let width):
      try elements(
        "gatedGELUGradient", rows * width, [memory(input), memory(gradient), memory(output)],
        [.extent(width)])
    case .evaluate(let function, let input, let output, let count):
      try elements("evaluate", count, [memory(input), memory(output), function.code])
    case .evaluateGradient(let function, let input, let gradient, let output, let count):
      try elements(
        "evaluateGradient", count,
        [memory(input), memory(gradient), memory(output), function.code])
    case .adamW(let step, let operands, let count): try run(step, operands, count: count)

    case .normalizeLengths(let input, let output, let rows, let width):
      try eachRow("normalizeLengths", rows, [memory(input), memory(output)], width)
    case .normalizeLengthsGradient(let gradient):
      try eachRow(
        "normalizeLengthsGradient", gradient.rows,
        [
          memory(gradient.input), memory(gradient.output), memory(gradient.outputGradient),
          memory(gradient.inputGradient),
        ], gradient.width)
    case .logSoftmax(let input, let output, let rows, let width):
      try eachRow("logSoftmax", rows, [memory(input), memory(output)], width)
    case .logSoftmaxGradient(let output, let gradient, let inputGradient, let rows, let width):
      try eachRow(
        "logSoftmaxGradient", rows, [memory(output), memory(gradient), memory(inputGradient)],
        width)
    case .normalizeRows(let operands): try run(operands)
    case .normalizeRowsGradient(let operands): try run(operands)
    case .normalizeGroups(let operands): try run(operands)
    case .normalizeGroupsGradient(let operands): try run(operands)

    case .widen(let input, let output, let count):
      try elements(
        "widenElements", count, [memory(input), memory(output)],
        [.flag(input.storage.format == .half(.bfloat16))])
    case .copyRows(let input, let stride, let output, let outputStride, let rows, let width):
      try launch(
        "copyRows", of: .movement, items: rows * width,
        [
          memory(input), memory(output), .extent(rows * width), .extent(width), .extent(stride),
          .extent(outputStride),
        ])
    case .gatherRows(let input, let indices, let output, let width):
      try gatherRows(input, at: indices, into: output, width: width)
    case .scatterRows(let input, let indices, let output, let width):
      try scatterRows(input, at: indices, to: output, width: width)
    case .transpose(let input, let output, let batch, let rows, let columns, let width):
      let count = batch * rows * columns * width
      try launch(
        "transpose", of: .movement, items: count,
        [
          memory(input), memory(output), .extent(count), .extent(rows), .extent(columns),
          .extent(width),
        ])
    case .enlargeTwofold(let input, let output, let shape):
      try launch(
        "enlargeTwofold", of: .movement, items: 4 * shape.count,
        [
          memory(input), memory(output), .extent(4 * shape.count), .extent(shape.width),
          .extent(shape.channels),
        ])
    case .enlargeTwofoldGradient(let input, let output, let shape):
      try launch(
        "enlargeTwofoldGradient", of: .movement, items: shape.count,
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

  /// A kernel whose parameters are some, the number of elements, and others.
  private func elements(
    _ kernel: String, _ count: Int, _ first: [KernelArgument], _ others: [KernelArgument] = []
  ) throws(DeviceError) {
    try launch(kernel, of: .elementwise, items: count, first + [.extent(count)] + others)
  }

  /// A kernel with a group for each row.
  private func eachRow(
    _ kernel: String, _ rows: Int, _ memory: [KernelArgument], _ width: Int
  ) throws(DeviceError) {
    try launch(kernel, of: .rows, groups: (rows, 1), memory + [.extent(width)])
  }

  private func run(
    _ step: AdamWStep, _ operands: AdamWOperands, count: Int
  ) throws(DeviceError) {
    try elements(
      "adamW", count,
      [
        memory(operands.gradient), memory(operands.mean), memory(operands.square),
        memory(operands.parameter),
      ],
      [
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
