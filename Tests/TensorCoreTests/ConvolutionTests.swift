import HostResources
import TensorCore
import Testing

@Suite("Convolution")
struct ConvolutionTests {
  static let shapes: [ConvolutionShape] = [
    // 3x3, as almost everywhere in a U-Net; small and odd images, one or many channels.
    .init(
      batch: 1, height: 1, width: 1, inputChannels: 1, outputChannels: 1, kernel: (3, 3), padding: 1
    ),
    .init(
      batch: 2, height: 5, width: 7, inputChannels: 3, outputChannels: 5, kernel: (3, 3), padding: 1
    ),
    .init(
      batch: 7, height: 8, width: 8, inputChannels: 4, outputChannels: 32, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 1, height: 16, width: 16, inputChannels: 32, outputChannels: 4, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 3, height: 9, width: 11, inputChannels: 24, outputChannels: 40, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 1, height: 32, width: 32, inputChannels: 16, outputChannels: 24, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 2, height: 8, width: 8, inputChannels: 64, outputChannels: 64, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 1, height: 12, width: 20, inputChannels: 128, outputChannels: 96, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 1, height: 8, width: 7, inputChannels: 336, outputChannels: 328, kernel: (3, 3),
      padding: 1),
    .init(batch: 1, height: 6, width: 6, inputChannels: 9, outputChannels: 17, kernel: (3, 3)),
    // Strides, with the padding of a U-Net's and of a VAE's downsampling.
    .init(
      batch: 2, height: 16, width: 16, inputChannels: 32, outputChannels: 32, kernel: (3, 3),
      stride: 2, padding: 1),
    .init(
      batch: 2, height: 7, width: 9, inputChannels: 6, outputChannels: 10, kernel: (3, 3),
      stride: 2, padding: 1),
    .init(
      batch: 1, height: 8, width: 8, inputChannels: 16, outputChannels: 24, kernel: (3, 3),
      stride: 2, padding: (top: 0, left: 0, bottom: 1, right: 1)),
    .init(
      batch: 7, height: 9, width: 5, inputChannels: 5, outputChannels: 3, kernel: (3, 3), stride: 2,
      padding: (top: 0, left: 0, bottom: 1, right: 1)),
    // 1x1, patches, gaps between windows, kernels that are not square, uneven padding.
    .init(batch: 3, height: 5, width: 3, inputChannels: 20, outputChannels: 12, kernel: (1, 1)),
    .init(batch: 1, height: 16, width: 16, inputChannels: 64, outputChannels: 32, kernel: (1, 1)),
    .init(batch: 2, height: 1, width: 1, inputChannels: 1, outputChannels: 1, kernel: (1, 1)),
    .init(
      batch: 2, height: 14, width: 14, inputChannels: 3, outputChannels: 32, kernel: (7, 7),
      stride: 7),
    .init(
      batch: 1, height: 11, width: 13, inputChannels: 3, outputChannels: 8, kernel: (4, 4),
      stride: 4),
    .init(
      batch: 2, height: 7, width: 7, inputChannels: 4, outputChannels: 8, kernel: (1, 1), stride: 2),
    .init(
      batch: 2, height: 8, width: 9, inputChannels: 2, outputChannels: 6, kernel: (2, 5), stride: 3,
      padding: 2),
    .init(
      batch: 1, height: 6, width: 8, inputChannels: 8, outputChannels: 8, kernel: (5, 3), stride: 1,
      padding: (top: 3, left: 0, bottom: 1, right: 2)),
    .init(
      batch: 1, height: 4, width: 4, inputChannels: 8, outputChannels: 16, kernel: (3, 3),
      stride: 1, padding: (top: 2, left: 2, bottom: 2, right: 2)),
  ]

  /// Relative to the largest magnitude; Winograd's kernels keep it too.
  static let tolerance = 1e-5

  @Test("the output agrees with plain sums", arguments: shapes)
  func forward(_ shape: ConvolutionShape) {
    let problem = Problem(shape)
    for bias in [nil, noise(shape.outputChannels, seed: 3)] {
      let expected = ConvolutionReference(shape: shape)
        .forward(problem.input, problem.weights, bias: bias)
      let error = largestError(problem.output(bias: bias), expected)
      #expect(error <= Self.tolerance, "error \(error)")
    }
  }

  @Test("the gradient of the input agrees with plain sums", arguments: shapes)
  func inputGradient(_ shape: ConvolutionShape) {
    let problem = Problem(shape)
    let expected = ConvolutionReference(shape: shape)
      .inputGradient(problem.outputGradient, problem.weights)
    let error = largestError(problem.inputGradient(), expected)
    #expect(error <= Self.tolerance, "error \(error)")
  }

  @Test("the gradient of the weights agrees with plain sums", arguments: shapes)
  func weightGradient(_ shape: ConvolutionShape) {
    let problem = Problem(shape)
    let expected = ConvolutionReference(shape: shape)
      .weightGradient(problem.input, problem.outputGradient)
    let error = largestError(problem.weightGradient(), expected)
    #expect(error <= Self.tolerance, "error \(error)")
  }

  @Test("the number of threads does not change a bit", arguments: shapes)
  func threads(_ shape: ConvolutionShape) {
    let problem = Problem(shape)
    let results = [1, 2, 5].map { threads in
      Threads.with(count: threads) {
        [problem.output(bias: nil), problem.inputGradient(), problem.weightGradient()]
      }
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  /// Of the upsampled image: with odd halves, one or many channels, and paddings that tiles cannot have.
  static let upsampledShapes: [ConvolutionShape] = [
    .init(
      batch: 1, height: 2, width: 2, inputChannels: 1, outputChannels: 1, kernel: (3, 3), padding: 1
    ),
    .init(
      batch: 3, height: 6, width: 10, inputChannels: 16, outputChannels: 24, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 2, height: 16, width: 16, inputChannels: 64, outputChannels: 20, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 2, height: 18, width: 14, inputChannels: 336, outputChannels: 328, kernel: (3, 3),
      padding: 1),
    .init(
      batch: 97, height: 4, width: 4, inputChannels: 1456, outputChannels: 16, kernel: (3, 3),
      padding: 1),
    .init(batch: 1, height: 8, width: 8, inputChannels: 16, outputChannels: 16, kernel: (3, 3)),
    .init(
      batch: 1, height: 8, width: 8, inputChannels: 16, outputChannels: 16, kernel: (1, 1)),
  ]

  @Test(
    "an upsampled image gives the plain sums, on any number of threads", arguments: upsampledShapes)
  func upsampled(_ shape: ConvolutionShape) {
    let problem = Problem(shape)
    let small = Array(problem.input[..<(shape.inputCount / 4)])
    let large = filled(shape.inputCount) {
      upsampleNearest(
        small, into: $0, batch: shape.batch, height: shape.height / 2, width: shape.width / 2,
        channels: shape.inputChannels)
    }
    let bias = noise(shape.outputChannels, seed: 3)
    let expected = ConvolutionReference(shape: shape)
      .forward(large, problem.weights, bias: bias)
    let stored = makeStorage(bias)
    let results = [1, 2, 5].map { threads in
      Threads.with(count: threads) {
        filled(shape.outputCount) {
          convolveUpsampled(small, problem.layer, bias: stored.pointer, into: $0, shape)
        }
      }
    }
    #expect(largestError(results[0], expected) <= Self.tolerance)
    #expect(results[0] == results[1] && results[0] == results[2])
  }

  @Test("more tiles than are transformed at once give the plain sums")
  func manyTiles() {
    let shape = ConvolutionShape(
      batch: 97, height: 4, width: 4, inputChannels: 1456, outputChannels: 16, kernel: (3, 3),
      padding: 1)
    let problem = Problem(shape)
    let expected = ConvolutionReference(shape: shape)
      .forward(problem.input, problem.weights, bias: nil)
    #expect(largestError(problem.output(bias: nil), expected) <= Self.tolerance)
  }

  @Test("a kernel that is longer than the padded image has no place in it")
  func noPositions() {
    for (height, expected) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
      let shape = ConvolutionShape(
        batch: 1, height: height, width: 8, inputChannels: 1, outputChannels: 1, kernel: (3, 3),
        stride: 2, padding: (top: 0, left: 0, bottom: 1, right: 1))
      #expect(shape.outputHeight == expected && shape.outputWidth == 4)
    }
  }

  /// One convolution with something in all its operands.
  struct Problem {
    let shape: ConvolutionShape
    let input: [Float]
    let weights: [Float]
    let outputGradient: [Float]
    let layer: ConvolutionWeights

    init(_ shape: ConvolutionShape) {
      self.shape = shape
      input = noise(shape.inputCount, seed: 1)
      weights = noise(shape.weightCount, seed: 2)
      outputGradient = noise(shape.outputCount, seed: 4)
      layer = ConvolutionWeights(
        .full(makeStorage(weights)), kernelHeight: shape.kernelHeight,
        kernelWidth: shape.kernelWidth, inputChannels: shape.inputChannels,
        outputChannels: shape.outputChannels)
    }

    func output(bias: [Float]?) -> [Float] {
      let bias = bias.map(makeStorage)
      return filled(shape.outputCount) {
        convolve(input, layer, bias: bias?.pointer, into: $0, shape)
      }
    }

    func inputGradient() -> [Float] {
      filled(shape.inputCount) { convolveInputGradient(outputGradient, layer, into: $0, shape) }
    }

    func weightGradient() -> [Float] {
      filled(shape.weightCount) {
        convolveWeightGradient(input, outputGradient, into: $0, shape)
      }
    }
  }
}
