import Backends
import HostResources
import TensorCore
import Testing

/// Compares what kernels take from the pool with what is planned, on one thread, where both are exact.
@Suite("Memory of kernels", .serialized) struct KernelMemoryTests {
  private func zeros(_ count: Int, on backend: any Backend) -> Operand {
    let operand = Operand(Storage(count: count, on: backend))
    backend.perform(.fill(operand, count: count, value: 0))
    return operand
  }

  /// The bytes that `body` makes the pool hold, and those that it is planned to hold.
  private func compare(
    _ body: (any Backend) -> Void, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    Threads.with(count: 1) {
      // OpenBLAS packs into memory that it takes once.
      body(HostBackend.shared)
      let plan = PlanningBackend()
      body(plan)
      let before = BufferPool.shared.usedBytes
      BufferPool.shared.releaseFreeBlocks()
      body(HostBackend.shared)
      let held = BufferPool.shared.heldPeakBytes - before
      #expect(held == plan.poolHeldPeakBytes, sourceLocation: sourceLocation)
    }
  }

  @Test("attention and its gradients", arguments: [7, 40, 300], [8, 40])
  func attention(tokens: Int, headWidth: Int) {
    let shape = AttentionShape(
      batch: 2, heads: 3, queryCount: tokens, keyCount: tokens + 1, headWidth: headWidth)
    let queries = 2 * 3 * tokens * headWidth
    let keys = 2 * 3 * (tokens + 1) * headWidth
    compare { backend in
      let (query, output) = (zeros(queries, on: backend), zeros(queries, on: backend))
      let (key, value) = (zeros(keys, on: backend), zeros(keys, on: backend))
      backend.perform(
        .attend(
          Attention(query: query, key: key, value: value, into: output, logSumExp: nil, shape)))
    }
    compare { backend in
      let (query, key) = (zeros(queries, on: backend), zeros(keys, on: backend))
      let logSumExp = zeros(2 * 3 * tokens, on: backend)
      backend.perform(
        .attendGradients(
          AttentionGradients(
            query: query, key: key, value: key, output: query, outputGradient: query,
            logSumExp: logSumExp, into: zeros(queries, on: backend), zeros(keys, on: backend),
            zeros(keys, on: backend), shape)))
    }
  }

  @Test("group normalization and its gradient", arguments: [false, true])
  func groups(appliesSiLU: Bool) {
    let shape = GroupShape(batch: 2, positions: 300, channels: 64, groups: 8)
    compare { backend in
      let (input, output) = (zeros(2 * 300 * 64, on: backend), zeros(2 * 300 * 64, on: backend))
      let (gamma, statistics) = (zeros(64, on: backend), zeros(2 * 8 * 2, on: backend))
      backend.perform(
        .normalizeGroups(
          GroupNormalization(
            input, gamma: gamma, beta: gamma, into: output, statistics: statistics, epsilon: 1e-5,
            appliesSiLU: appliesSiLU, shape)))
      backend.perform(
        .normalizeGroupsGradient(
          GroupNormalizationGradient(
            input, output, gamma: gamma, beta: gamma, statistics: statistics,
            into: zeros(2 * 300 * 64, on: backend), parameterGradients: nil,
            appliesSiLU: appliesSiLU, shape)))
    }
  }

  @Test(
    "products, with a low-rank term merged or apart",
    arguments: [4, 20, 200, 2_000], [(24, 40), (32, 64), (30, 64)])
  func products(rows: Int, _ size: (columns: Int, inner: Int)) {
    let (columns, inner) = size
    for isTransposed in [false, true] {
      for rank in [0, 4] {
        compare { backend in
          let left = zeros(rows * inner, on: backend)
          let right = zeros(inner * columns, on: backend)
          let term = zeros(rank * max(inner, columns), on: backend)
          let update = rank > 0 ? LowRankOperand(left: term, right: term, rank: rank) : nil
          backend.perform(
            .multiply(
              MatrixProduct(
                MatrixOperand(left, stride: inner),
                MatrixOperand(
                  right, stride: isTransposed ? inner : columns, isTransposed: isTransposed),
                plus: update, into: zeros(rows * columns, on: backend), rows: rows,
                columns: columns, inner: inner)))
        }
      }
    }
  }

  @Test(
    "convolutions and their gradients, by tiles and directly",
    arguments: [
      // By tiles: few channels, many, padded ones; directly: a small image, a stride, another kernel.
      (16, 16, 16, 3, 1, 1), (8, 320, 320, 3, 1, 1), (16, 16, 4, 3, 1, 1), (2, 8, 8, 3, 1, 1),
      (16, 12, 20, 3, 2, 1), (9, 16, 24, 1, 1, 0),
    ])
  func convolutions(
    side: Int, inputs: Int, outputs: Int, kernel: Int, stride: Int, padding: Int
  ) {
    let shape = ConvolutionShape(
      batch: 1, height: side, width: side, inputChannels: inputs, outputChannels: outputs,
      kernel: (kernel, kernel), stride: stride, padding: padding)
    for operation in 0..<3 {
      compare { backend in
        let weights = ConvolutionOperand(
          zeros(shape.weightCount, on: backend), kernelHeight: kernel, kernelWidth: kernel,
          inputChannels: inputs, outputChannels: outputs)
        let (input, output) = (
          zeros(shape.inputCount, on: backend), zeros(shape.outputCount, on: backend)
        )
        switch operation {
        case 0:
          backend.perform(
            .convolve(
              Convolution(input, weights, bias: nil, into: output, shape, upsamples: false)))
        case 1:
          backend.perform(
            .convolveInputGradient(ConvolutionInputGradient(output, weights, into: input, shape)))
        default:
          backend.perform(
            .convolveWeightGradient(
              ConvolutionWeightGradient(input, output, into: weights.values, shape)))
        }
      }
    }
  }
}
