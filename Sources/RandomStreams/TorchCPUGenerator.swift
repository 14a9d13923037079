import Glibc

/// The random numbers of `torch.Generator("cpu").manual_seed(seed)`.
///
/// Integers and uniforms are torch's bit for bit. Torch's logarithm, sine and cosine depend on the
/// processor it runs on, so normal numbers agree within a few units in the last place.
///
/// Source: `aten/src/ATen/{CPUGeneratorImpl.cpp, core/DistributionsHelper.h,
/// native/cpu/DistributionTemplates.h}` of PyTorch 2.13.
public struct TorchCPUGenerator: NormalSource, Sendable {
  private var engine: MersenneTwister
  /// The second number of the last pair that `nextNormal` drew.
  private var pendingNormal: Double?

  public init(seed: UInt64) {
    engine = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
  }

  /// `torch.randn` in single precision.
  public mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
    guard values.count >= 16 else {
      for index in values.indices { values[index] = Float(nextNormal()) }
      return
    }
    for index in values.indices { values[index] = nextUniform() }
    for start in stride(from: 0, through: values.count - 16, by: 16) {
      transformBlock(values, at: start)
    }
    guard values.count % 16 != 0 else { return }
    // The last 16 places are drawn anew, over what the last whole block left there.
    let start = values.count - 16
    for index in start..<values.count { values[index] = nextUniform() }
    transformBlock(values, at: start)
  }

  /// `torch.randint(0, bound, ...)`, one number; `bound` is in 1..<2^28.
  ///
  /// Beyond that some versions of torch draw two words a number and others one.
  public mutating func integer(below bound: Int) -> Int {
    precondition(bound > 0 && bound < 1 << 28, "torch's versions differ in integers below \(bound)")
    return Int(engine.next()) % bound
  }

  /// `torch.randperm(count)`.
  public mutating func permutation(count: Int) -> [Int] {
    var order = Array(0..<count)
    for index in order.indices.dropLast() {
      order.swapAt(index, index + Int(engine.next()) % (count - index))
    }
    return order
  }

  /// Turns 16 uniforms into 16 normal numbers, place j with place j + 8.
  private func transformBlock(_ values: UnsafeMutableBufferPointer<Float>, at start: Int) {
    for index in start..<start + 8 {
      let radius = (-2 * log(1 - values[index])).squareRoot()
      let angle = 2 * Float.pi * values[index + 8]
      values[index] = radius * cos(angle)
      values[index + 8] = radius * sin(angle)
    }
  }

  /// A number in 0..<1, a multiple of 2^-24.
  private mutating func nextUniform() -> Float { Float(engine.next() & 0xFF_FFFF) * 0x1p-24 }

  /// A number in 0..<1, a multiple of 2^-53.
  private mutating func nextDoubleUniform() -> Double {
    let high = UInt64(engine.next()) << 32
    return Double((high | UInt64(engine.next())) & (1 << 53 - 1)) * 0x1p-53
  }

  private mutating func nextNormal() -> Double {
    if let pending = pendingNormal {
      pendingNormal = nil
      return pending
    }
    let angle = 2 * Double.pi * nextDoubleUniform()
    let radius = (-2 * log1p(-nextDoubleUniform())).squareRoot()
    pendingNormal = radius * sin(angle)
    return radius * cos(angle)
  }
}
