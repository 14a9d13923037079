import TensorCore
import Testing

struct OperationProfileTests {
  private func add(_ count: Int) {
    let (a, sum) = (Storage(count: count), Storage(count: count))
    a.pointer.update(repeating: 1, count: count)
    combine(
      .add, a.pointer, a.pointer, into: sum.pointer,
      Broadcast(outer: count, repeats: 1, inner: 1))
  }

  private func multiply(_ size: Int) {
    let (a, product) = (Storage(count: size * size), Storage(count: size * size))
    a.pointer.update(repeating: 1, count: size * size)
    let pointer = a.pointer
    multiplyMatrices(
      MatrixPointer(pointer, stride: size), RightFactor(pointer, stride: size),
      into: product.pointer, outputStride: size, rows: size, columns: size,
      inner: size)
  }

  @Test("a profile adds up what runs inside it, by name and size")
  func sums() throws {
    let profile = OperationProfile()
    add(10)
    profile.record {
      add(10)
      add(20)
      multiply(3)
      multiply(5)
      multiply(5)
    }
    add(10)
    let costs = profile.costs
    #expect(costs.values.reduce(0) { $0 + $1.calls } == 5)
    let product = try #require(costs.first { $0.key.size == "5 x 5 x 5" }).value
    #expect(product.calls == 2 && product.flop == 2 * 2 * 125 && product.seconds > 0)
    #expect(costs.first { $0.key.name == "elementwise" }?.value.calls == 2)
  }

  @Test("kernels that a kernel calls are part of it")
  func nested() {
    let profile = OperationProfile()
    let shape = ConvolutionShape(
      batch: 2, height: 9, width: 9, inputChannels: 8, outputChannels: 3, kernel: (3, 3),
      padding: 1)
    let (image, weights) = (Storage(count: shape.inputCount), Storage(count: shape.weightCount))
    image.pointer.update(repeating: 1, count: shape.inputCount)
    weights.pointer.update(repeating: 1, count: shape.weightCount)
    let output = Storage(count: shape.outputCount)
    profile.record {
      convolve(
        image.pointer,
        ConvolutionWeights(
          .full(weights), kernelHeight: 3, kernelWidth: 3, inputChannels: 8, outputChannels: 3),
        bias: nil, into: output.pointer, shape)
    }
    #expect(profile.costs.count == 1)
    #expect(profile.costs.first?.value.calls == 1)
  }
}
