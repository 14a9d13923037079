/// A number with a fixed count of decimals and a true minus sign; a dash if it is not finite.
package func decimalText(_ value: Double, decimals: Int, signed: Bool = false) -> String {
  guard value.isFinite else { return "\u{2013}" }
  let scale = (0..<decimals).reduce(1.0) { product, _ in product * 10 }
  let scaled = (abs(value) * scale).rounded()
  // Beyond 2^53 a decimal has no meaning; Swift's own text is exact.
  guard scaled < 0x1p53 else { return "\(value)" }
  let units = Int(scaled)
  let fraction = String(units % Int(scale))
  let zeros = String(repeating: "0", count: max(0, decimals - fraction.count))
  let sign = units == 0 ? "" : value < 0 ? "\u{2212}" : signed ? "+" : ""
  return "\(sign)\(units / Int(scale))" + (decimals == 0 ? "" : ".\(zeros)\(fraction)")
}

/// A number for a chart: as few digits as tell it from its neighbours at distance `step`.
func tickText(_ value: Double, step: Double) -> String {
  if value != 0, abs(value) >= 1e6 || abs(value) < 1e-3 { return powerText(value) }
  var decimals = 0
  var rest = step
  while decimals < 6, abs(rest - rest.rounded()) > 1e-6 * abs(rest) {
    rest *= 10
    decimals += 1
  }
  return decimalText(value, decimals: decimals)
}

/// A number as a short mantissa and a power of ten, such as 2.5e−4.
private func powerText(_ value: Double) -> String {
  var mantissa = abs(value)
  var exponent = 0
  while mantissa >= 9.995 {
    mantissa /= 10
    exponent += 1
  }
  while mantissa < 0.9995 {
    mantissa *= 10
    exponent -= 1
  }
  let isWhole = abs(mantissa - mantissa.rounded()) < 0.005
  let digits = decimalText(mantissa, decimals: isWhole ? 0 : 1)
  return "\(value < 0 ? "\u{2212}" : "")\(digits)e\(decimalText(Double(exponent), decimals: 0))"
}
