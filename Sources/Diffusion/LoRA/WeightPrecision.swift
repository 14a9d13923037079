package import Checkpoints
import HostResources

/// How finely the numbers of a written model are stored.
public enum WeightPrecision: String, CaseIterable, Codable, Sendable {
  case f32
  case f16
  case bf16

  package var elementType: ElementType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    }
  }

  /// Nil for single precision.
  var halfFormat: HalfFormat? {
    switch self {
    case .f32: nil
    case .f16: .binary16
    case .bf16: .bfloat16
    }
  }

  /// Bytes of a number.
  package var byteCount: Int { elementType.bitCount / 8 }

  /// What `config.json` of transformers calls it.
  var torchName: String {
    switch self {
    case .f32: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    }
  }

  /// What to do if a number is too large or too small.
  var advice: String {
    switch self {
    case .f16: "use bf16 or f32"
    case .bf16: "use f32"
    case .f32: "the LoRA is too strong for any type"
    }
  }

  /// The first number that would be stored as infinity.
  func firstOverflow(in values: [Float]) -> Float? {
    let limit = elementType.overflow ?? .infinity
    // Not `>=`, which is false for NaN.
    return values.first { !($0.magnitude < limit) }
  }

  /// The largest relative error of an array that rounding explains.
  ///
  /// Numbers below 6e-5, where f16 has fewer digits, are the reason why it is not smaller.
  var tolerance: Double { self == .f32 ? 1e-6 : 1e-2 }
}
