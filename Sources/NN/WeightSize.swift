public import Checkpoints
import TensorCore

/// What a checkpoint's weights take.
public struct WeightSize: Equatable, Sendable {
  /// Numbers in all.
  public private(set) var count = 0
  /// Bytes in memory where the weights are only read, with the forms that kernels keep of them.
  public private(set) var frozenByteCount = 0
  /// Bytes of the largest one as single-precision numbers.
  public private(set) var largestByteCount = 0
  /// Whether most of the numbers are stored in single precision.
  public var isFull: Bool { frozenByteCount > 3 * count }

  /// Frozen arrays of at least so many numbers stay in half precision; smaller ones would save little.
  public static let smallestHalf = 1 << 17

  public init() {}

  /// - Parameter isIncluded: whether a weight of that name counts
  public init(
    of checkpoint: any CheckpointSource, where isIncluded: (String) -> Bool = { _ in true }
  ) {
    for entry in checkpoint.entries where isIncluded(entry.name) {
      let isHalf =
        [.f16, .bf16].contains(entry.type) && entry.elementCount >= Self.smallestHalf
      count += entry.elementCount
      frozenByteCount += entry.elementCount * (isHalf ? 2 : 4)
      frozenByteCount += ConvolutionWeights.keptByteCount(entry.shape)
      largestByteCount = max(largestByteCount, 4 * entry.elementCount)
    }
  }

  public static func + (a: WeightSize, b: WeightSize) -> WeightSize {
    var sum = a
    sum.count += b.count
    sum.frozenByteCount += b.frozenByteCount
    sum.largestByteCount = max(a.largestByteCount, b.largestByteCount)
    return sum
  }
}
