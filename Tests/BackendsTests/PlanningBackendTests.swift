import Backends
import HostResources
import TensorCore
import Testing

@Suite("Planning backend") struct PlanningBackendTests {
  private func storage(_ count: Int, on backend: any Backend) -> Operand {
    Operand(Storage(count: count, on: backend))
  }

  @Test("memory is counted in the pool's blocks, and free ones are used again")
  func blocks() {
    let backend = PlanningBackend(freeByteLimit: 1 << 20)
    var first: Operand? = storage(1000, on: backend)
    #expect(backend.usedBytes == 4096)
    first = nil
    #expect(backend.usedBytes == 0 && backend.heldPeakBytes == 4096 && first == nil)
    let second = storage(900, on: backend)
    // A somewhat larger block that was free.
    #expect(backend.usedBytes == 4096 && backend.heldPeakBytes == 4096)
    let half = Operand(Storage(count: 1000, format: .half(.binary16), on: backend))
    #expect(backend.usedBytes == 4096 + 2000)
    withExtendedLifetime((second, half)) {}
  }

  @Test("beyond the limit, free blocks go back")
  func limit() {
    let backend = PlanningBackend(freeByteLimit: 5000)
    do {
      let blocks = [storage(1024, on: backend), storage(1024, on: backend)]
      withExtendedLifetime(blocks) {}
    }
    _ = storage(1 << 16, on: backend)
    #expect(backend.heldPeakBytes == 4 << 16 + 4096)
  }

  @Test("nothing is computed: bodies that write are not called, and zeros are read")
  func nothing() {
    let backend = PlanningBackend()
    let operand = storage(4, on: backend)
    backend.write(operand, count: 4) { _ in Issue.record("called") }
    #expect(backend.read(operand, count: 4) { Array($0) } == [0, 0, 0, 0])
    #expect(backend.firstNonFinite(operand, count: 4) == nil)
  }

  /// One convolution with its gradients on a backend that nothing else uses.
  private func convolve(_ shape: ConvolutionShape, on backend: any Backend) {
    let weights = ConvolutionOperand(
      storage(shape.weightCount, on: backend), kernelHeight: shape.kernelHeight,
      kernelWidth: shape.kernelWidth, inputChannels: shape.inputChannels,
      outputChannels: shape.outputChannels)
    let (input, output) = (
      storage(shape.inputCount, on: backend), storage(shape.outputCount, on: backend)
    )
    for (operand, count) in [
      (weights.values, shape.weightCount), (input, shape.inputCount), (output, shape.outputCount),
    ] {
      backend.perform(.fill(operand, count: count, value: 0))
    }
    for _ in 0..<2 {
      backend.perform(
        .convolve(Convolution(input, weights, bias: nil, into: output, shape, upsamples: false)))
      backend.perform(
        .convolveInputGradient(ConvolutionInputGradient(output, weights, into: input, shape)))
      let gradient = storage(shape.weightCount, on: backend)
      backend.perform(
        .convolveWeightGradient(ConvolutionWeightGradient(input, output, into: gradient, shape)))
    }
  }

  @Test("operations that are planned are those that are counted")
  func operations() {
    let shape = ConvolutionShape(
      batch: 2, height: 16, width: 16, inputChannels: 32, outputChannels: 48, kernel: (3, 3),
      padding: 1)
    func calls(_ backend: any Backend) -> [OperationProfile.Kind: [Int]] {
      let profile = OperationProfile()
      profile.record { convolve(shape, on: backend) }
      return profile.costs.mapValues { [$0.calls, $0.flop, $0.byteCount] }
    }
    #expect(calls(HostBackend.shared) == calls(PlanningBackend()))
  }

  @Test("each class of operations is priced by what it takes here, and not measured twice")
  func rates() {
    let profile = OperationProfile()
    let backend = PlanningBackend()
    profile.record {
      let numbers = storage(4096, on: backend)
      backend.perform(.fill(numbers, count: 4096, value: 0))
      let factor = MatrixOperand(numbers, stride: 64)
      backend.perform(
        .multiply(MatrixProduct(factor, factor, into: numbers, rows: 64, columns: 64, inner: 64)))
    }
    let rates = OperationRates()
    let seconds = rates.seconds(of: profile) ?? 0
    #expect(rates.hasChanged && seconds > 0 && seconds < 60)
    let known = OperationRates(knowing: rates.secondsPerUnit)
    #expect(known.seconds(of: profile) == seconds && !known.hasChanged)
    let unmeasured = OperationRates(isMeasuring: false)
    #expect(unmeasured.seconds(of: profile) == nil && !unmeasured.hasChanged)
    #expect(unmeasured.seconds(of: OperationProfile()) == 0)
  }
}
