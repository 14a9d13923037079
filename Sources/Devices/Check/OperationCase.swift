import Backends
import HostResources
import TensorCore

/// One operation on small arrays whose extents are off every tile's border.
struct OperationCase: Sendable {
  let name: String
  private let singleTolerance: Float
  /// Whether numbers are multiplied that TF32 rounds; those of a workspace are not.
  private let isRounded: Bool
  /// Performs it on a backend and returns what it wrote.
  let run: @Sendable (CaseWorkspace) -> [Written]

  init(
    _ name: String, tolerance: Float = 1e-5, isRounded: Bool = false,
    _ run: @escaping @Sendable (CaseWorkspace) -> [Written]
  ) {
    self.name = name
    singleTolerance = tolerance
    self.isRounded = isRounded
    self.run = run
  }

  /// How far from the host's any element may be, as a part of the host's largest.
  func tolerance(_ precision: ProductPrecision) -> Float {
    precision == .tf32 && isRounded ? 1e-3 : singleTolerance
  }

  static let all =
    elementwise + rows + normalization + movement + products + convolutions + attention
}

/// An array that an operation wrote.
struct Written {
  let operand: Operand
  let count: Int
}

/// Makes the operands of one case: the same numbers on every backend.
///
/// Each array lies in the middle of a larger one whose ends nothing may change. Numbers have few enough digits
/// that TF32 holds them: on tensor cores, too, their products are exact, and a wrong one does not pass for a
/// rounded one.
final class CaseWorkspace {
  let backend: any Backend
  private var seed: UInt64 = 0x5EED
  static let margin = 7

  init(_ backend: any Backend) { self.backend = backend }

  /// Numbers between `-scale` and `scale`.
  func numbers(_ count: Int, scale: Float = 1, offset: Float = 0) -> Operand {
    operand(count: count) { offset + scale * next() }
  }

  /// An array for results, full of a number that none of them is.
  func blank(_ count: Int) -> Operand { operand(count: count) { -777 } }

  private func operand(count: Int, _ value: () -> Float) -> Operand {
    let storage = Storage(count: count + 2 * Self.margin, on: backend)
    let whole = Operand(storage)
    backend.write(whole, count: storage.count) { buffer in
      for index in buffer.indices { buffer[index] = value() }
    }
    return whole + Self.margin
  }

  /// Numbers of half precision.
  func halves(_ count: Int, _ format: HalfFormat, scale: Float = 1) -> Operand {
    let operand = Operand(Storage(count: count, format: .half(format), on: backend))
    backend.writeHalf(operand, count: count) { buffer in
      for index in buffer.indices {
        let value = scale * next()
        buffer[index] =
          format == .binary16
          ? Float16(value).bitPattern : UInt16(value.bitPattern >> 16)
      }
    }
    return operand
  }

  /// The weights of a convolution, which are a storage of their own.
  func weights(_ shape: ConvolutionShape, _ format: NumberFormat) -> ConvolutionOperand {
    let values: Operand
    switch format {
    case .single:
      values = Operand(Storage(count: shape.weightCount, on: backend))
      backend.write(values, count: shape.weightCount) { buffer in
        for index in buffer.indices { buffer[index] = next() }
      }
    case .half(let format): values = halves(shape.weightCount, format)
    }
    return ConvolutionOperand(
      values, kernelHeight: shape.kernelHeight, kernelWidth: shape.kernelWidth,
      inputChannels: shape.inputChannels, outputChannels: shape.outputChannels)
  }

  /// What an array holds now, the ends of its storage included.
  func values(_ written: Written) -> [Float] {
    let whole = Operand(written.operand.storage)
    return backend.read(whole, count: written.count + 2 * Self.margin) { Array($0) }
  }

  /// A multiple of 1/512 between -1 and 1, of a linear congruential generator; see Knuth, volume 2, section 3.3.4.
  private func next() -> Float {
    seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(Int64(bitPattern: seed) >> 54) / 512
  }
}
