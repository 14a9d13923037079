import HostResources
import TensorCore

/// The processor, with its kernels and the memory of the process.
public final class HostBackend: Backend {
  public static let shared = HostBackend()

  private init() {}

  public var name: String { "cpu" }
  public var activationFormat: NumberFormat { .single }

  public func allocate(count: Int, format: NumberFormat) -> AnyObject {
    switch format {
    case .single: HostMemory(count: count)
    case .half(let format): HalfMemory(count: count, format: format)
    }
  }

  public func write<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    try body(UnsafeMutableBufferPointer(start: target.floats, count: count))
  }

  public func writeHalf<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) {
    try body(
      UnsafeMutableBufferPointer(start: target.half.pointer + target.offset, count: count))
  }

  public func read<Result, Failure: Error>(
    _ source: Operand, count: Int,
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(start: source.floats, count: count))
  }

  public func largestMagnitude(_ source: Operand, count: Int) -> Float {
    UnsafeBufferPointer(start: source.floats, count: count).reduce(0) { max($0, abs($1)) }
  }

  public func firstNonFinite(_ source: Operand, count: Int) -> Int? {
    TensorCore.firstNonFinite(source.floats, count: count)
  }

  public func squareSum(_ source: Operand, count: Int) -> Double {
    dotProduct(source.floats, source.floats, count: count)
  }

  public func perform(_ operation: Operation) {
    OperationProfile.measure(operation) {
      switch operation {
      case .fill(let target, let count, let value):
        target.floats.update(repeating: value, count: count)
      case .combine(let kind, let a, let b, let output, let broadcast):
        TensorCore.combine(kind, a.floats, b.floats, into: output.floats, broadcast)
      case .sumRepeats(let input, let output, let broadcast):
        TensorCore.sumRepeats(input.floats, into: output.floats, broadcast)
      case .sum(let input, let count, let output):
        output.floats.pointee = Float(TensorCore.sum(input.floats, count: count))
      case .scaleAndShift(let input, let output, let count, let scale, let offset):
        TensorCore.scaleAndShift(
          input.floats, into: output.floats, count: count, scale: scale, offset: offset)
      case .addScaled(let input, let output, let count, let scale):
        TensorCore.addScaled(input.floats, to: output.floats, count: count, scale: scale)
      case .clamp(let input, let output, let count, let range):
        TensorCore.clamp(input.floats, into: output.floats, count: count, to: range)
      case .clampGradient(let input, let gradient, let output, let count, let range):
        TensorCore.clampGradient(
          input.floats, gradient.floats, into: output.floats, count: count, to: range)
      case .activate(let activation, let input, let output, let count):
        TensorCore.activate(activation, input.floats, into: output.floats, count: count)
      case .activationGradient(let activation, let input, let gradient, let output, let count):
        TensorCore.activationGradient(
          activation, input.floats, gradient.floats, into: output.floats, count: count)
      case .gatedGELU(let input, let output, let rows, let width):
        TensorCore.gatedGELU(input.floats, into: output.floats, rows: rows, width: width)
      case .gatedGELUGradient(let input, let gradient, let output, let rows, let width):
        TensorCore.gatedGELUGradient(
          input.floats, gradient.floats, into: output.floats, rows: rows, width: width)
      case .evaluate(let function, let input, let output, let count):
        TensorCore.evaluate(function, input.floats, into: output.floats, count: count)
      case .evaluateGradient(let function, let input, let gradient, let output, let count):
        TensorCore.evaluateGradient(
          function, input.floats, gradient.floats, into: output.floats, count: count)
      case .adamW(let step, let operands, let count):
        step.apply(
          operands.gradient.floats, mean: operands.mean.floats, square: operands.square.floats,
          parameter: operands.parameter.floats, count: count)

      case .normalizeLengths(let input, let output, let rows, let width):
        TensorCore.normalizeLengths(input.floats, into: output.floats, rows: rows, width: width)
      case .normalizeLengthsGradient(let operands): perform(operands)
      case .logSoftmax(let input, let output, let rows, let width):
        TensorCore.logSoftmax(input.floats, into: output.floats, rows: rows, width: width)
      case .logSoftmaxGradient(let output, let gradient, let inputGradient, let rows, let width):
        TensorCore.logSoftmaxGradient(
          output: output.floats, gradient.floats, into: inputGradient.floats, rows: rows,
          width: width)
      case .normalizeRows(let operands): perform(operands)
      case .normalizeRowsGradient(let operands): perform(operands)
      case .normalizeGroups(let operands): perform(operands)
      case .normalizeGroupsGradient(let operands): perform(operands)

      case .convert(let input, let output, let count):
        switch input.storage.format {
        case .single: output.floats.update(from: input.floats, count: count)
        case .half: input.half.widen(input.offset..<input.offset + count, into: output.floats)
        }
      case .copyRows(let input, let inputStride, let output, let outputStride, let rows, let width):
        TensorCore.copyRows(
          input.floats, inputStride: inputStride, into: output.floats, outputStride: outputStride,
          rows: rows, width: width)
      case .gatherRows(let input, let indices, let output, let width):
        gatherRows(input, at: indices, into: output.floats, width: width)
      case .scatterRows(let input, let indices, let output, let width):
        TensorCore.scatterRows(input.floats, at: indices, to: output.floats, width: width)
      case .transpose(let input, let output, let batch, let rows, let columns, let width):
        transposeRows(
          input.floats, into: output.floats, batch: batch, rows: rows, columns: columns,
          width: width)
      case .upsampleNearest(let input, let output, let shape):
        TensorCore.upsampleNearest(
          input.floats, into: output.floats, batch: shape.batch, height: shape.height,
          width: shape.width, channels: shape.channels)
      case .upsampleNearestGradient(let input, let output, let shape):
        TensorCore.upsampleNearestGradient(
          input.floats, into: output.floats, batch: shape.batch, height: shape.height,
          width: shape.width, channels: shape.channels)
      case .resample(let input, let output, let how):
        TensorCore.resample(
          input.floats, length: how.length, into: output.floats, rows: how.rows, width: how.width,
          how.taps)
      case .resampleGradient(let input, let output, let how):
        TensorCore.resampleGradient(
          input.floats, length: how.length, into: output.floats, rows: how.rows, width: how.width,
          how.taps)

      case .multiply(let product): perform(product)
      case .convolve(let operands): perform(operands)
      case .convolveInputGradient(let operands): perform(operands)
      case .convolveWeightGradient(let operands): perform(operands)
      case .attend(let operands): perform(operands)
      case .attendGradients(let operands): perform(operands)
      }
    }
  }

  private func gatherRows(
    _ input: Operand, at indices: [Int], into output: UnsafeMutablePointer<Float>, width: Int
  ) {
    guard case .half = input.storage.format else {
      return TensorCore.gatherRows(input.floats, at: indices, into: output, width: width)
    }
    let memory = input.half
    for (row, index) in indices.enumerated() {
      let start = input.offset + index * width
      memory.widen(start..<start + width, into: output + row * width)
    }
  }
}

extension Operand {
  /// Numbers of single precision in the host's memory.
  var floats: UnsafeMutablePointer<Float> {
    guard let memory = storage.memory as? HostMemory else {
      preconditionFailure(
        "\(storage.format) numbers of \(storage.backend.name) are not floats here")
    }
    return memory.pointer + offset
  }

  /// Numbers of half precision in the host's memory.
  var half: HalfMemory {
    guard let memory = storage.memory as? HalfMemory else {
      preconditionFailure(
        "\(storage.format) numbers of \(storage.backend.name) are not halves here")
    }
    return memory
  }
}
