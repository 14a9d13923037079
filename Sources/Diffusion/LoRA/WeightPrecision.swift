package import Checkpoints
import HostResources

/// The precision in which a model's weights are written.
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

  /// The bytes per number.
  package var byteCount: Int { elementType.bitCount / 8 }

  /// The name in transformers' `config.json`.
  var torchName: String {
    switch self {
    case .f32: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    }
  }

  /// Advice for numbers that are too large or too small.
  var advice: String {
    switch self {
    case .f16: "use bf16 or f32"
    case .bf16: "use f32"
    case .f32: "the LoRA is too strong for any type"
    }
  }

  /// Returns the first number that would be stored as infinity.
  func firstOverflow(in values: [Float]) -> Float? {
    let limit = elementType.overflow ?? .infinity
    // Not `>=`, which is false for NaN.
    return values.first { !($0.magnitude < limit) }
  }

  /// The largest relative error of an array that rounding can cause.
  ///
  /// It is no smaller because of numbers below 6e-5, where f16 has fewer digits.
  var tolerance: Double { self == .f32 ? 1e-6 : 1e-2 }
}
