/// How the factors of products and of attention are rounded; they are added up in single precision, and
/// everything else is.
public enum ProductPrecision: String, Sendable, CaseIterable, CustomStringConvertible {
  /// Not at all.
  case single = "f32"
  /// To 10 bits of fraction, as many as binary16 has, with the range of single precision: on tensor cores, or
  /// without them, for tests, as they would.
  case tf32

  public var description: String { rawValue }

  var definitions: [String] { ["TENSOR=\(self == .tf32 ? 1 : 0)"] }
}
