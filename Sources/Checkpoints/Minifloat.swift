/// Floating-point numbers of eight bits: sign, exponent, mantissa.
///
/// - Source: Micikevicius et al. 2022 (arXiv 2209.05433) for E4M3 and E5M2; Noune et al. 2022
///   (arXiv 2206.02915) for the forms without a negative zero
struct Minifloat {
  /// The bit patterns that represent no finite number.
  enum NotFinite {
    /// The patterns with the highest exponent, infinity and NaN, as in IEEE 754.
    case highestExponent
    /// The largest magnitude alone, which is NaN.
    case largest
    /// The bits of a negative zero, which are NaN.
    case negativeZero
  }

  let mantissaBits: Int
  let bias: Int
  let notFinite: NotFinite

  /// The values of all bit patterns.
  var values: [Float] { (0...UInt8.max).map(value) }

  private func value(_ bits: UInt8) -> Float {
    let magnitude = Int(bits & 0x7F)
    let (exponent, mantissa) = (magnitude >> mantissaBits, magnitude & (1 << mantissaBits - 1))
    let sign: Float = bits >= 0x80 ? -1 : 1
    switch notFinite {
    case .highestExponent where exponent == 0x7F >> mantissaBits:
      return mantissa == 0 ? sign * .infinity : .nan
    case .largest where magnitude == 0x7F, .negativeZero where bits == 0x80: return .nan
    default: break
    }
    // Numbers of the lowest exponent have no hidden bit.
    let hidden = exponent == 0 ? 0 : 1 << mantissaBits
    return sign
      * Float(
        sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits,
        significand: Float(hidden + mantissa))
  }
}
