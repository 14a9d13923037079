import Autograd
import TensorCore

/// Benchmarks of single kernels, at the sizes of Stable Diffusion v1's U-Net over latents of 64 x
/// 64.
enum OperatorBench {
  /// 3 x 3 convolutions.
  static func convolution(_ options: BenchOptions) -> [BenchWork] {
    let sizes = [(320, 320, 64), (640, 320, 64), (640, 640, 32), (1280, 1280, 16), (1280, 1280, 8)]
    return sizes.map { inputs, outputs, side in
      let shape = ConvolutionShape(
        batch: options.rows, height: side, width: side, inputChannels: inputs,
        outputChannels: outputs, kernel: (3, 3), padding: 1)
      let x = ModelBench.normal([shape.batch, side, side, inputs], seed: 1)
      let weight = weights([3, 3, inputs, outputs], fanIn: 9 * inputs)
      let bias = ModelBench.normal([outputs], seed: 3)
      let prepared = weight.convolutionOperand()
      let flop = 2 * 9 * shape.batch * side * side * inputs * outputs
      return work(
        "\(inputs)>\(outputs) at \(side)x\(side)", options, [x],
        constants: ["weight": weight, "bias": bias], flop: flop, backward: flop
      ) {
        Autograd.convolution($0[0], weight: weight, prepared: prepared, bias: bias, shape)
      }
    }
  }

  static func linear(_ options: BenchOptions) -> [BenchWork] {
    let sizes = [
      (4096, 320, 320), (4096, 320, 2560), (4096, 1280, 320), (1024, 640, 640), (1024, 640, 5120),
      (1024, 2560, 640), (256, 1280, 1280), (256, 1280, 10240), (256, 5120, 1280),
    ]
    return sizes.map { tokens, inputs, outputs in
      let x = ModelBench.normal([options.rows, tokens, inputs], seed: 1)
      let weight = weights([outputs, inputs], fanIn: inputs)
      let bias = ModelBench.normal([outputs], seed: 3)
      let flop = 2 * options.rows * tokens * inputs * outputs
      return work(
        "\(tokens): \(inputs)>\(outputs)", options, [x],
        constants: ["weight": weight, "bias": bias], flop: flop, backward: flop
      ) {
        Autograd.linear($0[0], weight: weight, bias: bias)
      }
    }
  }

  /// Attention with 8 heads, among the positions of an image and from them to a prompt.
  static func attention(_ options: BenchOptions) -> [BenchWork] {
    let places = [(4096, 40), (1024, 80), (256, 160)]
    let sizes = places.map { ($0, $0, $1) } + places.map { ($0, 77, $1) }
    return sizes.map { queries, keys, width in
      let inputs = [queries, keys, keys].enumerated().map {
        ModelBench.normal([options.rows, $1, 8 * width], seed: UInt64($0))
      }
      // Forward two products; backward one for each factor of these.
      let flop = 4 * options.rows * queries * keys * 8 * width
      return work(
        "\(queries) to \(keys), 8 of \(width)", options, inputs, flop: flop, backward: 2 * flop
      ) {
        Autograd.attention(query: $0[0], key: $0[1], value: $0[2], heads: 8)
      }
    }
  }

  /// Group normalization followed by SiLU.
  static func groupNorm(_ options: BenchOptions) -> [BenchWork] {
    [(320, 64), (640, 32), (1280, 16)].map { channels, side in
      let x = ModelBench.normal([options.rows, side, side, channels], seed: 1)
      let (gamma, beta) = (
        ModelBench.normal([channels], seed: 2), ModelBench.normal([channels], seed: 3)
      )
      return work(
        "\(channels) at \(side)x\(side)", options, [x],
        constants: ["weight": gamma, "bias": beta], bytes: 8 * x.count
      ) {
        groupNormalized(
          $0[0], gamma: gamma, beta: beta, groups: 32, epsilon: 1e-5, appliesSiLU: true)
      }
    }
  }

  static func layerNorm(_ options: BenchOptions) -> [BenchWork] {
    [(4096, 320), (1024, 640), (256, 1280)].map { tokens, width in
      let x = ModelBench.normal([options.rows, tokens, width], seed: 1)
      let (gamma, beta) = (
        ModelBench.normal([width], seed: 2), ModelBench.normal([width], seed: 3)
      )
      return work(
        "\(tokens): \(width)", options, [x], constants: ["weight": gamma, "bias": beta],
        bytes: 8 * x.count
      ) {
        layerNormalized($0[0], gamma: gamma, beta: beta, epsilon: 1e-5)
      }
    }
  }

  static func geglu(_ options: BenchOptions) -> [BenchWork] {
    [(4096, 1280), (1024, 2560), (256, 5120)].map { tokens, width in
      let x = ModelBench.normal([options.rows, tokens, 2 * width], seed: 1)
      return work("\(tokens): \(2 * width)>\(width)", options, [x], bytes: 6 * x.count) {
        gatedGELU($0[0])
      }
    }
  }

  /// - Parameters:
  ///   - inputs: the inputs that need gradients
  ///   - constants: other inputs of the operation
  ///   - flop: the operation's, nil if it is memory-bound
  ///   - backward: those of the gradients of its inputs
  ///   - bytes: the size of inputs and outputs
  private static func work(
    _ size: String, _ options: BenchOptions, _ inputs: [Tensor],
    constants: [String: Tensor] = [:], flop: Int? = nil, backward: Int = 0, bytes: Int? = nil,
    _ operation: @escaping ([Tensor]) -> Tensor
  ) -> BenchWork {
    func named(_ prefix: String, _ tensors: [Tensor]) -> [String: Tensor] {
      Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ("\(prefix)\($0)", $1) })
    }
    let all = constants.merging(named("x", inputs)) { $1 }
    guard options.wantsGradients else {
      return BenchWork(size: size, batch: options.rows, flop: flop, bytes: bytes, inputs: all) {
        withoutGradients { ["y": operation(inputs)] }
      }
    }
    let arriving = withoutGradients { operation(inputs) }
    return BenchWork(
      size: size, batch: options.rows, flop: flop.map { $0 + backward },
      inputs: all.merging(["dy": arriving]) { $1 }
    ) {
      let leaves = inputs.map { $0.trainable() }
      let output = operation(leaves)
      let found = gradients(of: output, for: leaves, outputGradient: arriving)
      return named("dx", found.compactMap { $0 })
    }
  }

  /// Random weights, scaled so that the output is about as large as the input.
  private static func weights(_ shape: [Int], fanIn: Int) -> Tensor {
    withoutGradients {
      ModelBench.normal(shape, seed: 2).scaled(by: 1 / Float(fanIn).squareRoot())
    }
  }
}

extension BenchOptions {
  /// The batch size of an operator.
  fileprivate var rows: Int { batch ?? 2 }
}
