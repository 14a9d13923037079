import Glibc

/// The mapping of an axis from values to positions, and its ticks.
package struct AxisScale {
  package let ticks: [Double]
  /// The distance between the ticks of a linear axis; nil if the axis is logarithmic.
  private let step: Double?
  private let isLogarithmic: Bool
  /// The values, or their logarithms, at the ends of the axis.
  private let low: Double
  private let high: Double

  /// The axis for `values`, of which those that it cannot show are left out.
  ///
  /// - Parameter margin: the share of the axis that stays free at each end that is not given.
  package init(_ axis: Chart.Axis, values: [Double], margin: Double) {
    let isLogarithmic = axis.scale == .logarithmic
    func positions(_ values: [Double]) -> [Double] {
      values.compactMap { Self.position(of: $0, isLogarithmic: isLogarithmic) }
    }
    let given = positions(axis.range.map { [$0.lowerBound, $0.upperBound] } ?? [])
    let shown = positions(values) + given
    var low = shown.min() ?? 0
    var high = shown.max() ?? 1
    if high - low <= 1e-9 * max(abs(low), abs(high)) {
      let slack = isLogarithmic ? 0.5 : max(abs(low) * 0.1, 1e-3)
      (low, high) = (low - slack, high + slack)
    } else {
      let slack = margin * (high - low)
      if low != given.first { low -= slack }
      if high != given.last { high += slack }
    }
    self.isLogarithmic = isLogarithmic
    self.low = low
    self.high = high
    (ticks, step) =
      isLogarithmic ? Self.logarithmicTicks(low, high) : Self.linearTicks(low, high)
  }

  /// The place of a value on the axis, 0 at its lower end and 1 at its upper one; nil if it has none.
  package func place(of value: Double) -> Double? {
    Self.position(of: value, isLogarithmic: isLogarithmic).map { ($0 - low) / (high - low) }
  }

  /// Returns the label of a tick, with as few digits as distinguish it from its neighbours.
  func text(ofTick tick: Double) -> String { tickText(tick, step: step ?? tick) }

  /// Returns the value or its logarithm; nil if it has none, or is too large.
  private static func position(of value: Double, isLogarithmic: Bool) -> Double? {
    guard abs(value) < 1e300 else { return nil }  // not a number neither
    if isLogarithmic { return value > 0 ? log10(value) : nil }
    return value
  }

  /// About five multiples of 1, 2 or 5 times a power of ten.
  private static func linearTicks(_ low: Double, _ high: Double) -> ([Double], Double?) {
    let rough = (high - low) / 5
    let power = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.75 } ?? power * 10
    let first = ceil(low / step - 1e-9)
    let last = floor(high / step + 1e-9)
    guard last >= first, last - first < 100 else { return ([], step) }
    return (stride(from: first, through: last, by: 1).map { $0 * step }, step)
  }

  /// Powers of ten, with 2 and 5 times them where the axis is short; every n-th where it is long.
  private static func logarithmicTicks(_ low: Double, _ high: Double) -> ([Double], Double?) {
    let factors: [Double] = high - low < 2.5 ? [1, 2, 5] : [1]
    let powers = stride(from: floor(low), through: high, by: max(1, ceil((high - low) / 8)))
    let ticks = powers.flatMap { power in factors.map { $0 * pow(10, power) } }
      .filter { low - 1e-9...high + 1e-9 ~= log10($0) }
    return ticks.count > 1 ? (ticks, nil) : linearTicks(pow(10, low), pow(10, high))
  }
}
