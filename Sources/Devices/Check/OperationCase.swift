import Backends
import HostResources
import TensorCore

/// One operation on small arrays whose extents are off every tile's border.
struct OperationCase: Sendable {
  private(set) var name: String
  private let singleTolerance: Float
  /// Whether numbers are multiplied that TF32 rounds; those of a workspace are not.
  private let isRounded: Bool
  /// How many roundings of activations the largest errors are.
  private let roundings: Float
  /// The half precision that its activations may lie in.
  private let halfFormats: [HalfFormat]
  private(set) var format = NumberFormat.single
  /// Performs it on a backend and returns what it wrote.
  let run: @Sendable (CaseWorkspace) -> [Written]

  init(
    _ name: String, tolerance: Float = 1e-5, isRounded: Bool = false, roundings: Float = 1,
    halfFormats: [HalfFormat] = [.binary16, .bfloat16],
    _ run: @escaping @Sendable (CaseWorkspace) -> [Written]
  ) {
    self.name = name
    singleTolerance = tolerance
    self.isRounded = isRounded
    self.roundings = roundings
    self.halfFormats = halfFormats
    self.run = run
  }

  /// The same with activations of half precision, as far as models use it.
  private var inHalfPrecision: [OperationCase] {
    halfFormats.map { format in
      var other = self
      other.name = "\(name), activations \(format)"
      other.format = .half(format)
      return other
    }
  }

  /// How far from the host's any element may be, as a part of the host's largest.
  func tolerance(_ precision: ProductPrecision) -> Float {
    let single = precision != .single && isRounded ? 1e-3 : singleTolerance
    return switch format {
    case .single: single
    case .half(.binary16): single + roundings * 0x1p-11
    case .half(.bfloat16): single + roundings * 0x1p-8
    }
  }

  static func all(_ precision: ProductPrecision) -> [OperationCase] {
    precision == .half ? all + all.flatMap(\.inHalfPrecision) : all
  }

  private static let all =
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
/// rounded one. Activations may lie in half precision on a device; the host then has the same numbers in single.
final class CaseWorkspace {
  let backend: any Backend
  let format: NumberFormat
  private var seed: UInt64 = 0x5EED
  static let margin = 8

  init(_ backend: any Backend, _ format: NumberFormat) {
    self.backend = backend
    self.format = format
  }

  /// Numbers between `-scale` and `scale`, in single precision.
  func numbers(_ count: Int, scale: Float = 1, offset: Float = 0) -> Operand {
    operand(count: count, .single) { offset + scale * next() }
  }

  /// The same in the format of activations.
  func activations(_ count: Int, scale: Float = 1, offset: Float = 0) -> Operand {
    operand(count: count, format) { rounded(offset + scale * next()) }
  }

  /// An array for results, full of a number that none of them is, in single precision.
  func blank(_ count: Int) -> Operand { operand(count: count, .single) { -777 } }

  /// The same in the format of activations.
  func blankActivations(_ count: Int) -> Operand {
    operand(count: count, format) { rounded(-777) }
  }

  /// What the format of activations makes of a number.
  private func rounded(_ value: Float) -> Float {
    switch format {
    case .single: value
    case .half(.binary16): Float(Float16(value))
    // Towards zero: any number that the format holds will do.
    case .half(.bfloat16): Float(bitPattern: value.bitPattern & 0xFFFF_0000)
    }
  }

  private func operand(
    count: Int, _ format: NumberFormat, _ value: () -> Float
  ) -> Operand {
    // The host has no activations of half precision.
    let storage = Storage(
      count: count + 2 * Self.margin,
      format: backend.activationFormat == .single ? .single : format, on: backend)
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
