import Backends
import HostResources

/// How the factors of products and of attention are rounded, and in which format activations lie; sums are
/// formed in single precision, always.
public enum ProductPrecision: String, Sendable, CaseIterable, CustomStringConvertible {
  /// Factors are not rounded.
  case single = "f32"
  /// To 10 bits of fraction, as many as binary16 has, with the range of single precision: on tensor cores, or
  /// without them, for tests, as they would.
  case tf32
  /// Activations and their gradients lie in half precision while a model computes, see `inHalfPrecision`; what is
  /// of single precision is rounded as in TF32 where the device has tensor cores.
  case half = "f16"

  public var description: String { rawValue }

  var activationFormat: NumberFormat { self == .half ? .half(.binary16) : .single }
}
