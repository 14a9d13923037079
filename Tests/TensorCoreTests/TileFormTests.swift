import TensorCore
import Testing

/// Both forms run on every processor: where registers are narrow, a vector of 16 floats takes two.
@Suite("Tile forms")
struct TileFormTests {
  @Test(
    "products have the same bits", arguments: [1, 5, 6, 7, 11, 12, 13, 17, 23, 24, 29, 100],
    [8, 16, 24, 32, 40, 48, 56, 72, 104, 328])
  func products(_ rows: Int, _ columns: Int) {
    for inner in [1, 40, 401] {
      for (transposesLeft, transposesRight) in [(false, false), (true, false), (false, true)] {
        let left = noise(rows * inner, seed: 1)
        let right = noise(inner * columns, seed: 2)
        let bias = noise(columns, seed: 3)
        expectSameBits { form in
          [
            filled(rows * columns) { output in
              multiplyMatrices(
                MatrixPointer(
                  left, stride: transposesLeft ? rows : inner, isTransposed: transposesLeft),
                RightFactor(
                  right, stride: transposesRight ? inner : columns, isTransposed: transposesRight),
                into: output, outputStride: columns, rows: rows, columns: columns, inner: inner,
                bias: bias, form: form)
            }
          ]
        }
      }
    }
  }

  @Test("convolutions have the same bits", arguments: ConvolutionTests.shapes)
  func convolutions(_ shape: ConvolutionShape) {
    let input = noise(shape.inputCount, seed: 1)
    let values = noise(shape.weightCount, seed: 2)
    let outputGradient = noise(shape.outputCount, seed: 3)
    let bias = noise(shape.outputChannels, seed: 4)
    expectSameBits { form in
      let weights = ConvolutionWeights(
        .full(makeStorage(values)), kernelHeight: shape.kernelHeight,
        kernelWidth: shape.kernelWidth, inputChannels: shape.inputChannels,
        outputChannels: shape.outputChannels, form: form)
      return [
        filled(shape.outputCount) { convolve(input, weights, bias: bias, into: $0, shape) },
        filled(shape.inputCount) {
          convolveInputGradient(outputGradient, weights, into: $0, shape)
        },
        filled(shape.weightCount) {
          convolveWeightGradient(input, outputGradient, into: $0, shape, form: form)
        },
      ]
    }
  }

  @Test(
    "convolutions of upsampled images have the same bits",
    arguments: ConvolutionTests.upsampledShapes
  )
  func upsampled(_ shape: ConvolutionShape) {
    let input = noise(shape.inputCount / 4, seed: 1)
    let values = noise(shape.weightCount, seed: 2)
    expectSameBits { form in
      let weights = ConvolutionWeights(
        .full(makeStorage(values)), kernelHeight: shape.kernelHeight,
        kernelWidth: shape.kernelWidth, inputChannels: shape.inputChannels,
        outputChannels: shape.outputChannels, form: form)
      return [
        filled(shape.outputCount) { convolveUpsampled(input, weights, bias: nil, into: $0, shape) }
      ]
    }
  }

  static let attentionShapes =
    AttentionTests.shapes
    + [8, 40, 72, 96, 104, 136].map { count in
      AttentionShape(batch: 1, heads: 2, queryCount: count, keyCount: 200, headWidth: 24)
    }

  @Test("attention has the same bits", arguments: attentionShapes)
  func attention(_ shape: AttentionShape) {
    let query = noise(shape.batch * shape.queryCount * shape.queryStride, seed: 1)
    let key = noise(shape.batch * shape.keyCount * shape.keyStride, seed: 2)
    let value = noise(shape.batch * shape.keyCount * shape.valueStride, seed: 3)
    let outputGradient = noise(shape.batch * shape.queryCount * shape.outputStride, seed: 4)
    expectSameBits { form in
      var output: [Float] = []
      let logSumExp = filled(shape.batch * shape.heads * shape.queryCount) { logSumExp in
        output = filled(outputGradient.count) {
          attend(
            query: query, key: key, value: value, into: $0, logSumExp: logSumExp, shape, form: form)
        }
      }
      var (keyGradient, valueGradient): ([Float], [Float]) = ([], [])
      let queryGradient = filled(query.count) { queryGradient in
        keyGradient = filled(key.count) { keyGradient in
          valueGradient = filled(value.count) { valueGradient in
            attendGradients(
              query: query, key: key, value: value, output: output,
              outputGradient: outputGradient, logSumExp: logSumExp, queryGradient: queryGradient,
              keyGradient: keyGradient, valueGradient: valueGradient, shape, form: form)
          }
        }
      }
      return [output, logSumExp, queryGradient, keyGradient, valueGradient]
    }
  }

  /// Bits rather than numbers, as padding between tokens may hold what is not a number.
  private func expectSameBits(_ compute: (TileForm) -> [[Float]]) {
    let results = TileForm.allCases.map { form in
      compute(form).map { $0.map(\.bitPattern) }
    }
    #expect(results.dropFirst().allSatisfy { $0 == results[0] })
  }
}
