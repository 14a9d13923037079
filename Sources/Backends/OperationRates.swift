import HostResources
import TensorCore

/// How long operations take on a backend: seconds for each unit of work of a class, measured when it is first
/// asked for if that is wanted.
public final class OperationRates {
  /// By the class's description.
  public private(set) var secondsPerUnit: [String: Double]
  /// Whether some were measured since.
  public private(set) var hasChanged = false
  private let backend: any Backend
  private let scale: Int
  private let isMeasuring: Bool

  /// - Parameters:
  ///   - backend: what is measured
  ///   - scale: how many times as much of a large operation is measured as fills a processor: a device with many
  ///     takes more to be busy
  ///   - isMeasuring: false: what is not known stays unknown
  ///   - secondsPerUnit: what was measured before
  public init(
    on backend: any Backend = HostBackend.shared, scale: Int = 1, isMeasuring: Bool = true,
    knowing secondsPerUnit: [String: Double] = [:]
  ) {
    self.isMeasuring = isMeasuring
    self.secondsPerUnit = secondsPerUnit
    self.backend = backend
    self.scale = scale
  }

  /// How long the operations of a profile would take; nil: not known.
  public func seconds(of profile: OperationProfile) -> Double? {
    profile.work.reduce(0.0) { sum, entry in
      guard let sum, let seconds = secondsPerUnit(of: entry.key) else { return nil }
      return sum + Double(entry.value) * seconds
    }
  }

  private func secondsPerUnit(of rate: RateClass) -> Double? {
    if let known = secondsPerUnit[rate.description] { return known }
    guard isMeasuring else { return nil }
    let (operation, storages) = rate.probe(on: backend, scale: scale)
    let work = max(1, operation.cost.work)
    let seconds = secondsTaken(by: operation) / Double(work)
    withExtendedLifetime(storages) {}
    secondsPerUnit[rate.description] = seconds
    hasChanged = true
    return seconds
  }

  /// The least of a few runs: others may use the machine, too.
  private func secondsTaken(by operation: Operation) -> Double {
    func seconds(_ times: Int) -> Double {
      ContinuousClock().measure {
        for _ in 0..<times { backend.perform(operation) }
        backend.finish()
      } / .seconds(1) / Double(times)
    }
    // The first run faults memory in, makes derived forms of weights, and compiles kernels.
    _ = seconds(1)
    // A device is asked for many at once: it takes longer to be waited for than for a small operation.
    let times = backend is HostBackend ? 1 : max(1, min(100, Int(0.001 / max(1e-6, seconds(1)))))
    var (best, total, runs) = (Double.infinity, 0.0, 0)
    repeat {
      let time = seconds(times)
      best = min(best, time)
      total += time * Double(times)
      runs += 1
    } while total < 0.008 || runs < 3 && total < 1
    return best
  }
}

extension OperationCost {
  /// What its time is in proportion to: floating-point operations, or bytes where memory limits.
  var work: Int { flop > 0 ? flop : byteCount }
}

extension RateClass {
  /// An operation of the class on memory of its own.
  fileprivate func probe(
    on backend: any Backend, scale: Int
  ) -> (operation: Operation, [Storage]) {
    var storages: [Storage] = []
    func numbers(_ count: Int, _ format: NumberFormat) -> Operand {
      let storage = Storage(count: max(1, count), format: format, on: backend)
      storages.append(storage)
      let operand = Operand(storage)
      if format == .single {
        backend.perform(.fill(operand, count: storage.count, value: 0.01))
      } else {
        backend.writeHalf(operand, count: storage.count) { $0.update(repeating: 0) }
      }
      return operand
    }
    let rate = standsForLarger ? scaled(by: scale) : self
    return (rate.operation(numbers, activations: backend.activationFormat), storages)
  }

  /// - Parameter format: of activations
  private func operation(
    _ allocate: (Int, NumberFormat) -> Operand, activations format: NumberFormat
  ) -> Operation {
    let floats = extents[0] / MemoryLayout<Float>.stride
    func numbers(_ count: Int) -> Operand { allocate(count, .single) }
    func activations(_ count: Int) -> Operand { allocate(count, format) }
    switch kind {
    case .movement:
      let count = max(1, floats / 3)
      return .combine(
        .add, activations(count), activations(count), into: activations(count),
        Broadcast(outer: count, repeats: 1, inner: 1))
    case .widening:
      let count = max(1, floats / 3 * 2)
      return .convert(allocate(count, .half(.binary16)), into: numbers(count), count: count)
    case .activation:
      let count = max(1, floats / 2)
      return .activate(.gelu, activations(count), into: activations(count), count: count)
    case .normalization:
      let (positions, channels) = (max(1, floats / 2 / 64), 64)
      let count = positions * channels
      return .normalizeGroups(
        GroupNormalization(
          activations(count), gamma: numbers(channels), beta: numbers(channels),
          into: activations(count), statistics: numbers(16), epsilon: 1e-5, appliesSiLU: true,
          GroupShape(batch: 1, positions: positions, channels: channels, groups: 8)))
    case .attention, .attentionGradient: return attention(allocate, activations: format)
    case .convolution, .upsamplingConvolution, .convolutionInputGradient,
      .convolutionWeightGradient:
      return convolution(allocate, activations: format)
    case .product, .halfProduct, .leftTransposedProduct, .rightTransposedProduct,
      .rightTransposedHalfProduct:
      return product(allocate, activations: format)
    }
  }

  private func attention(
    _ numbers: (Int, NumberFormat) -> Operand, activations format: NumberFormat
  ) -> Operation {
    let (heads, queries, keys, width) = (extents[0], extents[1], extents[2], extents[3])
    let shape = AttentionShape(
      batch: 1, heads: heads, queryCount: queries, keyCount: keys, headWidth: width)
    func query() -> Operand { numbers(heads * queries * width, format) }
    func key() -> Operand { numbers(heads * keys * width, format) }
    let sums = numbers(heads * queries, .single)
    return kind == .attention
      ? .attend(
        Attention(query: query(), key: key(), value: key(), into: query(), logSumExp: sums, shape)
      )
      : .attendGradients(
        AttentionGradients(
          query: query(), key: key(), value: key(), output: query(), outputGradient: query(),
          logSumExp: sums, into: query(), key(), key(), shape))
  }

  private func convolution(
    _ numbers: (Int, NumberFormat) -> Operand, activations format: NumberFormat
  ) -> Operation {
    let (inputs, outputs, kernel, stride) = (extents[2], extents[3], extents[4], extents[5])
    let upsamples = kind == .upsamplingConvolution
    let side = upsamples ? max(2, extents[1] / 2 * 2) : max(kernel, extents[1] * stride)
    let shape = ConvolutionShape(
      batch: extents[0], height: side, width: side, inputChannels: inputs,
      outputChannels: outputs, kernel: (kernel, kernel), stride: stride,
      padding: stride == kernel ? 0 : kernel / 2)
    let weights = ConvolutionOperand(
      numbers(shape.weightCount, kind == .convolutionWeightGradient ? .single : format),
      kernelHeight: kernel, kernelWidth: kernel, inputChannels: inputs, outputChannels: outputs)
    let (input, output) = (
      numbers(shape.inputCount, format), numbers(shape.outputCount, format)
    )
    if kind == .convolutionInputGradient {
      return .convolveInputGradient(
        ConvolutionInputGradient(output, weights, into: input, shape))
    }
    if kind == .convolutionWeightGradient {
      return .convolveWeightGradient(
        ConvolutionWeightGradient(input, output, into: weights.values, shape))
    }
    return .convolve(
      Convolution(input, weights, bias: nil, into: output, shape, upsamples: upsamples))
  }

  private func product(
    _ numbers: (Int, NumberFormat) -> Operand, activations format: NumberFormat
  ) -> Operation {
    let (rows, inner, columns) = (extents[0], extents[1], extents[2])
    let isLeft = kind == .leftTransposedProduct
    let isRight = [.rightTransposedProduct, .rightTransposedHalfProduct].contains(kind)
    let isHalf = [.halfProduct, .rightTransposedHalfProduct].contains(kind)
    return .multiply(
      MatrixProduct(
        MatrixOperand(
          numbers(rows * inner, format), stride: isLeft ? rows : inner, isTransposed: isLeft),
        MatrixOperand(
          numbers(inner * columns, isLeft ? format : isHalf ? .half(.binary16) : .single),
          stride: isRight ? inner : columns,
          isTransposed: isRight), into: numbers(rows * columns, isLeft ? .single : format),
        rows: rows,
        columns: columns, inner: inner))
  }
}
