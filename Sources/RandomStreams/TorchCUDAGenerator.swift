import Glibc

/// The normal numbers of `torch.Generator("cuda").manual_seed(seed)`.
///
/// Torch gives each thread of the device one element of a tensor and only then a second one, so this
/// holds for tensors of no more elements than the device runs threads (about 200,000 on an A100).
///
/// Source: `aten/src/ATen/native/cuda/DistributionTemplates.h` of PyTorch and cuRAND's
/// `curand_normal4`.
public struct TorchCUDAGenerator: NormalSource, Sendable {
  private let seed: UInt64
  /// The number of tensors generated so far.
  private var offset: UInt64 = 0

  public init(seed: UInt64) { self.seed = seed }

  /// `torch.randn` in single precision.
  public mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
    for index in values.indices {
      let words = Philox.block(
        counter: (
          UInt32(truncatingIfNeeded: offset), UInt32(truncatingIfNeeded: offset >> 32),
          UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32)
        ), key: seed)
      let u = Float(words.0) * 0x1p-32 + 0x1p-33
      let angle = Float(words.1) * (2 * Float.pi * 0x1p-32) + Float.pi * 0x1p-32
      values[index] = (-2 * log(u)).squareRoot() * sin(angle)
    }
    offset &+= 1
  }
}
