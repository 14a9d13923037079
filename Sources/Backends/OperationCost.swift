import TensorCore

/// What an operation costs, whoever performs it.
public struct OperationCost {
  /// The kind, as tables name it.
  public let name: String
  /// The extents that its time depends on; empty where bytes say it all.
  public let size: String
  /// What the textbook's algorithm needs, a multiplication and an addition counting as two; 0 where memory
  /// is what limits.
  public let flop: Int
  /// Read and written, each number once.
  public let byteCount: Int
  /// What takes about as long for the same work.
  public let rate: RateClass

  /// Of what memory limits.
  fileprivate init(
    _ name: String, _ size: String = "", floats: Int, _ kind: RateClass.Kind = .movement
  ) {
    self.name = name
    self.size = size
    flop = 0
    byteCount = floats * MemoryLayout<Float>.stride
    rate = RateClass(kind, byteCount: byteCount)
  }

  fileprivate init(_ name: String, _ size: String, flop: Int, floats: Int, _ rate: RateClass) {
    self.name = name
    self.size = size
    self.flop = flop
    byteCount = floats * MemoryLayout<Float>.stride
    self.rate = rate
  }
}

extension Operation {
  public var cost: OperationCost {
    switch self {
    case .fill(_, let count, _): OperationCost("fill", floats: count)
    case .combine(_, _, _, _, let broadcast):
      OperationCost("elementwise", floats: 2 * broadcast.count + broadcast.outer * broadcast.inner)
    case .sumRepeats(_, _, let broadcast):
      OperationCost("sum", floats: broadcast.count + broadcast.outer * broadcast.inner)
    case .sum(_, let count, _): OperationCost("sum", floats: count)
    case .scaleAndShift(_, _, let count, _, _), .clamp(_, _, let count, _):
      OperationCost("elementwise", floats: 2 * count)
    case .addScaled(_, _, let count, _), .clampGradient(_, _, _, let count, _):
      OperationCost("elementwise", floats: 3 * count)
    case .activate(_, _, _, let count), .evaluate(_, _, _, let count):
      OperationCost("activation", floats: 2 * count, .activation)
    case .activationGradient(_, _, _, _, let count), .evaluateGradient(_, _, _, _, let count):
      OperationCost("activation gradient", floats: 3 * count, .activation)
    case .gatedGELU(_, _, let rows, let width):
      OperationCost("gated GELU", floats: 3 * rows * width, .activation)
    case .gatedGELUGradient(_, _, _, let rows, let width):
      OperationCost("gated GELU gradient", floats: 5 * rows * width, .activation)
    case .adamW(_, _, let count): OperationCost("AdamW", floats: 7 * count)

    case .normalizeLengths(_, _, let rows, let width), .logSoftmax(_, _, let rows, let width):
      OperationCost("rows", floats: 2 * rows * width)
    case .normalizeLengthsGradient(let operands):
      OperationCost("rows gradient", floats: 4 * operands.rows * operands.width)
    case .logSoftmaxGradient(_, _, _, let rows, let width):
      OperationCost("rows gradient", floats: 3 * rows * width)
    case .normalizeRows(let operands):
      OperationCost(
        "layer norm", "\(operands.rows) x \(operands.width)",
        floats: 2 * operands.rows * operands.width, .normalization)
    case .normalizeRowsGradient(let operands):
      OperationCost(
        "layer norm gradient", "\(operands.rows) x \(operands.width)",
        floats: 3 * operands.rows * operands.width, .normalization)
    case .normalizeGroups(let operands):
      OperationCost(
        "group norm", operands.shape.label, floats: 2 * operands.shape.count, .normalization)
    case .normalizeGroupsGradient(let operands):
      OperationCost(
        "group norm gradient", operands.shape.label, floats: 3 * operands.shape.count,
        .normalization)

    case .convert(_, _, let count): OperationCost("convert", floats: count + count / 2, .widening)
    case .copyRows(_, _, _, _, let rows, let width): OperationCost("copy", floats: 2 * rows * width)
    case .gatherRows(_, let indices, _, let width):
      OperationCost("copy", floats: 2 * indices.count * width)
    case .scatterRows(_, let indices, _, let width):
      OperationCost("copy", floats: 3 * indices.count * width)
    case .transpose(_, _, let batch, let rows, let columns, let width):
      OperationCost("copy", floats: 2 * batch * rows * columns * width)
    case .upsampleNearest(_, _, let shape): OperationCost("upsample", floats: 5 * shape.count)
    case .upsampleNearestGradient(_, _, let shape):
      OperationCost("upsample gradient", floats: 5 * shape.count)
    case .resample(_, _, let how): OperationCost("resample", floats: how.floatCount)
    case .resampleGradient(_, _, let how):
      OperationCost("resample gradient", floats: how.floatCount)

    case .multiply(let product): product.cost
    case .convolve(let operands):
      OperationCost(
        "convolution", operands.shape.label + (operands.upsamples ? ", upsampled" : ""),
        flop: 2 * operands.shape.multiplications,
        floats: operands.shape.inputCount / (operands.upsamples ? 4 : 1)
          + operands.shape.outputCount + operands.shape.weightCount,
        RateClass(operands.upsamples ? .upsamplingConvolution : .convolution, operands.shape))
    case .convolveInputGradient(let operands):
      operands.shape.cost("convolution input gradient", .convolutionInputGradient)
    case .convolveWeightGradient(let operands):
      operands.shape.cost("convolution weight gradient", .convolutionWeightGradient)
    case .attend(let operands):
      OperationCost(
        "attention", operands.shape.label, flop: 2 * operands.shape.multiplications,
        floats: 2 * operands.shape.queryFloats + 2 * operands.shape.keyFloats,
        RateClass(.attention, operands.shape))
    case .attendGradients(let operands):
      OperationCost(
        "attention gradient", operands.shape.label, flop: 5 * operands.shape.multiplications,
        floats: 4 * operands.shape.queryFloats + 4 * operands.shape.keyFloats,
        RateClass(.attentionGradient, operands.shape))
    }
  }
}

extension MatrixProduct {
  fileprivate var cost: OperationCost {
    let rank = update?.rank ?? 0
    return OperationCost(
      "matrix product",
      "\(rows) x \(inner)\(left.isTransposed ? "'" : "") x \(columns)\(right.isTransposed ? "'" : "")"
        + (rank > 0 ? ", rank \(rank)" : ""),
      flop: 2 * rows * inner * columns + 2 * rank * rows * (inner + columns),
      floats: rows * inner + inner * columns + rows * columns, RateClass(self))
  }
}

extension ConvolutionShape {
  fileprivate var label: String {
    "\(batch) x \(outputHeight) x \(outputWidth), \(inputChannels) to \(outputChannels), "
      + "\(kernelHeight) x \(kernelWidth)" + (stride > 1 ? " / \(stride)" : "")
  }

  fileprivate func cost(_ name: String, _ kind: RateClass.Kind) -> OperationCost {
    OperationCost(
      name, label, flop: 2 * multiplications, floats: inputCount + outputCount + weightCount,
      RateClass(kind, self))
  }
}

extension AttentionShape {
  fileprivate var label: String {
    "\(batch) x \(heads) heads of \(headWidth), \(queryCount) to \(keyCount)"
  }

  fileprivate var queryFloats: Int { batch * heads * headWidth * queryCount }
  fileprivate var keyFloats: Int { batch * heads * headWidth * keyCount }
}

extension GroupShape {
  fileprivate var label: String { "\(batch) x \(positions) x \(channels)" }
  fileprivate var count: Int { batch * positions * channels }
}

extension Resampling {
  fileprivate var floatCount: Int { rows * width * (length + taps.sources.count / 4) }
}
