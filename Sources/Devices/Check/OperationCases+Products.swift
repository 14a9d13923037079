import Backends
import HostResources
import TensorCore

extension OperationCase {
  /// A product's extents; what is left out is as small as can be.
  private struct Product: Sendable {
    let (rows, columns, inner): (Int, Int, Int)
    var left = false
    var right = false
    var format = NumberFormat.single
    var rank = 0
    var hasBias = false
    /// Of a product whose left factor is transposed, the gradient of a weight: whether each is an activation.
    var activations = (left: true, right: true)
    /// Whether the result is no activation: the middle of a low-rank update.
    var isMiddle = false

    /// As far as models use it; what binary16 cannot hold is not trained.
    var halfFormats: [HalfFormat] {
      if left && right { return [] }
      return left || !right || rank > 0 || isMiddle ? [.binary16] : [.binary16, .bfloat16]
    }

    var label: String {
      "\(rows) x \(inner)\(left ? "'" : "") x \(columns)\(right ? "'" : "")"
        + (format == .single ? "" : ", \(format.label)") + (rank > 0 ? ", rank \(rank)" : "")
        + (isMiddle ? ", of an update" : "")
        + (activations.left ? "" : ", left of single precision")
        + (activations.right ? "" : ", right of single precision")
    }
  }

  static let products =
    ([
      Product(rows: 1, columns: 1, inner: 1), Product(rows: 65, columns: 70, inner: 33),
      Product(rows: 65, columns: 3, inner: 70, right: true, hasBias: true),
      Product(rows: 5, columns: 130, inner: 17, left: true, right: true),
      // A gradient of weights, in parts.
      Product(rows: 33, columns: 5, inner: 1030, left: true),
      Product(rows: 70, columns: 66, inner: 40, right: true, rank: 5, hasBias: true),
      Product(rows: 30, columns: 66, inner: 40, rank: 19),
      // In large tiles.
      Product(rows: 16_300, columns: 2, inner: 3, hasBias: true),
      Product(rows: 16_300, columns: 2, inner: 3, right: true),
      Product(rows: 16_300, columns: 2, inner: 3, left: true),
      Product(rows: 16_300, columns: 2, inner: 3, left: true, right: true),
      Product(rows: 16_300, columns: 2, inner: 3, format: .half(.binary16)),
      // Neighbours in eights.
      Product(rows: 16_300, columns: 8, inner: 8, format: .half(.binary16)),
      Product(rows: 16_300, columns: 8, inner: 8, right: true, format: .half(.binary16)),
      Product(rows: 70, columns: 136, inner: 168, format: .half(.binary16), hasBias: true),
      Product(rows: 70, columns: 72, inner: 168, right: true, format: .half(.binary16), rank: 5),
      Product(rows: 16_300, columns: 2, inner: 3, right: true, format: .half(.binary16)),
      Product(rows: 16_300, columns: 2, inner: 3, format: .half(.bfloat16)),
      Product(rows: 16_300, columns: 2, inner: 3, right: true, format: .half(.bfloat16)),
      Product(
        rows: 70, columns: 66, inner: 40, right: true, format: .half(.binary16), hasBias: true),
      Product(
        rows: 70, columns: 66, inner: 40, right: true, format: .half(.bfloat16), rank: 4,
        hasBias: true),
      Product(rows: 70, columns: 66, inner: 40, right: true, format: .half(.bfloat16)),
      Product(rows: 66, columns: 40, inner: 70, format: .half(.binary16)),
      Product(rows: 5, columns: 3, inner: 17, format: .half(.binary16)),
      Product(rows: 5, columns: 3, inner: 17, right: true, format: .half(.binary16)),
      Product(rows: 66, columns: 40, inner: 70, format: .half(.bfloat16)),
    ]
    // With half precision, what else there is: gradients of low-rank factors, and what they are made of.
    + [
      Product(rows: 40, columns: 72, inner: 1030, left: true),
      Product(rows: 16_304, columns: 8, inner: 37, left: true),
    ]
    + [(33, 5, 1030), (16_300, 2, 3)].flatMap { rows, columns, inner in
      [
        Product(
          rows: rows, columns: columns, inner: inner, left: true, activations: (true, false)),
        Product(
          rows: rows, columns: columns, inner: inner, left: true, activations: (false, true)),
        Product(rows: rows, columns: columns, inner: inner, isMiddle: true),
        Product(rows: rows, columns: columns, inner: inner, right: true, isMiddle: true),
      ]
    }).map { product in
      // The update's middle is rounded.
      OperationCase(
        "product \(product.label)", isRounded: product.rank > 0, halfFormats: product.halfFormats
      ) { multiply($0, product) }
    }

  private static func multiply(_ work: CaseWorkspace, _ product: Product) -> [Written] {
    let (rows, columns, inner) = (product.rows, product.columns, product.inner)
    let left = MatrixOperand(
      product.activations.left ? work.activations(rows * inner) : work.numbers(rows * inner),
      stride: product.left ? rows : inner, isTransposed: product.left)
    let values =
      switch product.format {
      case .single where product.left && product.activations.right:
        work.activations(inner * columns)
      case .single: work.numbers(inner * columns)
      case .half(let format): work.halves(inner * columns, format)
      }
    let right = MatrixOperand(
      values, stride: product.right ? inner : columns, isTransposed: product.right)
    let update =
      product.rank > 0
      ? LowRankOperand(
        left: work.numbers(product.rank * inner), right: work.numbers(product.rank * columns),
        rank: product.rank) : nil
    let output =
      product.left || product.isMiddle
      ? work.blank(rows * columns) : work.blankActivations(rows * columns)
    work.backend.perform(
      .multiply(
        MatrixProduct(
          left, right, plus: update, into: output, rows: rows, columns: columns, inner: inner,
          bias: product.hasBias ? work.numbers(columns) : nil)))
    return [Written(operand: output, count: rows * columns)]
  }

  static let convolutions: [OperationCase] =
    [
      ConvolutionShape(
        batch: 2, height: 9, width: 7, inputChannels: 20, outputChannels: 36, kernel: (3, 3),
        padding: 1),
      ConvolutionShape(
        batch: 2, height: 9, width: 7, inputChannels: 16, outputChannels: 72, kernel: (3, 3),
        padding: 1),
      ConvolutionShape(
        batch: 1, height: 11, width: 14, inputChannels: 18, outputChannels: 10, kernel: (3, 3),
        stride: 2, padding: 1),
      // As the autoencoder's encoder pads.
      ConvolutionShape(
        batch: 1, height: 10, width: 8, inputChannels: 5, outputChannels: 70, kernel: (3, 3),
        stride: 2, padding: (top: 0, left: 0, bottom: 1, right: 1)),
      ConvolutionShape(
        batch: 3, height: 5, width: 6, inputChannels: 33, outputChannels: 3, kernel: (1, 1)),
      ConvolutionShape(
        batch: 2, height: 12, width: 8, inputChannels: 3, outputChannels: 17, kernel: (4, 4),
        stride: 4),
    ].map { shape in
      OperationCase("convolution \(shape.label)", tolerance: 2e-5) { convolve($0, shape, .single) }
    }
    + [(3, 2), (3, 5)].map { inputs, outputs in
      let sides = outputs == 2 ? (127, 129) : (7, 9)
      return OperationCase("convolution of \(inputs) to \(outputs), binary16", tolerance: 2e-5) {
        convolve(
          $0,
          ConvolutionShape(
            batch: 1, height: sides.0, width: sides.1, inputChannels: inputs,
            outputChannels: outputs, kernel: (3, 3), padding: 1), .half(.binary16))
      }
    }
    + [NumberFormat.single, .half(.binary16), .half(.bfloat16)].map { format in
      OperationCase("convolution in large tiles, \(format.label)", tolerance: 2e-5) {
        convolve(
          $0,
          ConvolutionShape(
            batch: 1, height: 127, width: 129, inputChannels: 2, outputChannels: 1, kernel: (3, 3),
            padding: 1), format)
      }
    }
    + [
      OperationCase("convolution of eights in large tiles, binary16", tolerance: 2e-5) {
        convolve(
          $0,
          ConvolutionShape(
            batch: 1, height: 127, width: 129, inputChannels: 8, outputChannels: 8, kernel: (3, 3),
            padding: 1), .half(.binary16))
      }
    ]
    + [(1420, 140), (1424, 144)].map { inputs, outputs in
      let name = "weights of a convolution of \(inputs) to \(outputs) in large tiles"
      return OperationCase(name, halfFormats: [.binary16]) { work in
        let shape = ConvolutionShape(
          batch: 1, height: 2, width: 1, inputChannels: inputs, outputChannels: outputs,
          kernel: (3, 3), padding: 1)
        let (x, dy) = (work.activations(shape.inputCount), work.activations(shape.outputCount))
        let dw = work.blank(shape.weightCount)
        work.backend.perform(
          .convolveWeightGradient(ConvolutionWeightGradient(x, dy, into: dw, shape)))
        return [Written(operand: dw, count: shape.weightCount)]
      }
    }
    + [1, 2].map { stride in
      OperationCase("convolution of eights, binary16 / \(stride)", tolerance: 2e-5) {
        convolve(
          $0,
          ConvolutionShape(
            batch: 2, height: 9, width: 7, inputChannels: 24, outputChannels: 40, kernel: (3, 3),
            stride: stride, padding: 1), .half(.binary16))
      }
    }
    + [HalfFormat.binary16, .bfloat16].map { format in
      OperationCase("convolution, \(NumberFormat.half(format).label)", tolerance: 2e-5) {
        convolve(
          $0,
          ConvolutionShape(
            batch: 1, height: 9, width: 7, inputChannels: 20, outputChannels: 36, kernel: (3, 3),
            padding: 1), .half(format))
      }
    }
    + [
      OperationCase("convolution of an upsampled image", tolerance: 2e-5) {
        convolveUpsampled($0, channels: (19, 21), .single)
      },
      OperationCase("convolution of an upsampled image, binary16", tolerance: 2e-5) {
        convolveUpsampled($0, channels: (24, 16), .half(.binary16))
      },
    ]

  private static func convolveUpsampled(
    _ work: CaseWorkspace, channels: (Int, Int), _ format: NumberFormat
  ) -> [Written] {
    let shape = ConvolutionShape(
      batch: 2, height: 10, width: 6, inputChannels: channels.0, outputChannels: channels.1,
      kernel: (3, 3), padding: 1)
    let output = work.blankActivations(shape.outputCount)
    work.backend.perform(
      .convolve(
        Convolution(
          work.activations(shape.inputCount / 4), work.weights(shape, format),
          bias: work.numbers(shape.outputChannels), into: output, shape, upsamples: true)))
    return [Written(operand: output, count: shape.outputCount)]
  }

  private static func convolve(
    _ work: CaseWorkspace, _ shape: ConvolutionShape, _ format: NumberFormat
  ) -> [Written] {
    let (x, dy) = (work.activations(shape.inputCount), work.activations(shape.outputCount))
    let weights = work.weights(shape, format)
    let y = work.blankActivations(shape.outputCount)
    work.backend.perform(
      .convolve(
        Convolution(
          x, weights, bias: work.numbers(shape.outputChannels), into: y, shape, upsamples: false)))
    let output = Written(operand: y, count: shape.outputCount)
    // What binary16 cannot hold is not trained.
    guard work.format != .half(.bfloat16) else { return [output] }
    let (dx, dw) = (work.blankActivations(shape.inputCount), work.blank(shape.weightCount))
    work.backend.perform(
      .convolveInputGradient(ConvolutionInputGradient(dy, weights, into: dx, shape)))
    work.backend.perform(.convolveWeightGradient(ConvolutionWeightGradient(x, dy, into: dw, shape)))
    return [
      output, Written(operand: dx, count: shape.inputCount),
      Written(operand: dw, count: shape.weightCount),
    ]
  }

  static let attention = [
    AttentionShape(batch: 2, heads: 2, queryCount: 70, keyCount: 77, headWidth: 40),
    AttentionShape(
      batch: 1, heads: 3, queryCount: 150, keyCount: 150, headWidth: 8, isCausal: true),
    AttentionShape(batch: 1, heads: 1, queryCount: 130, keyCount: 5, headWidth: 80),
    AttentionShape(batch: 1, heads: 1, queryCount: 5, keyCount: 130, headWidth: 160),
    AttentionShape(batch: 1, heads: 1, queryCount: 3, keyCount: 66, headWidth: 170),
  ].map { shape in
    OperationCase(
      "attention \(shape.label)", tolerance: 2e-5, isRounded: true, roundings: 4
    ) { work in
      let queries = shape.batch * shape.queryCount * shape.queryStride
      let keys = shape.batch * shape.keyCount * shape.keyStride
      let rows = shape.batch * shape.heads * shape.queryCount
      let (q, k) = (work.activations(queries, scale: 3), work.activations(keys))
      let (v, dy) = (work.activations(keys), work.activations(queries))
      let (y, logSumExp) = (work.blankActivations(queries), work.blank(rows))
      let (dq, dk) = (work.blankActivations(queries), work.blankActivations(keys))
      let dv = work.blankActivations(keys)
      work.backend.perform(
        .attend(Attention(query: q, key: k, value: v, into: y, logSumExp: logSumExp, shape)))
      work.backend.perform(
        .attendGradients(
          AttentionGradients(
            query: q, key: k, value: v, output: y, outputGradient: dy, logSumExp: logSumExp,
            into: dq, dk, dv, shape)))
      return [
        Written(operand: y, count: queries), Written(operand: logSumExp, count: rows),
        Written(operand: dq, count: queries), Written(operand: dk, count: keys),
        Written(operand: dv, count: keys),
      ]
    }
  }
}

extension NumberFormat {
  fileprivate var label: String {
    switch self {
    case .single: "single precision"
    case .half(let format): "\(format)"
    }
  }
}

extension ConvolutionShape {
  fileprivate var label: String {
    "\(batch) x \(height) x \(width), \(inputChannels) to \(outputChannels), "
      + "\(kernelHeight) x \(kernelWidth)" + (stride > 1 ? " / \(stride)" : "")
  }
}

extension AttentionShape {
  fileprivate var label: String {
    "\(batch) x \(heads) heads of \(headWidth), \(queryCount) to \(keyCount)"
      + (isCausal ? ", causal" : "")
  }
}
