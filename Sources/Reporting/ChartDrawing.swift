/// The drawing of a chart in SVG.
///
/// Colours and widths of lines are the page's style sheet's.
struct ChartDrawing {
  private let chart: Chart
  private let x: AxisScale
  private let y: AxisScale

  private static let width = 560.0
  private static let height = 300.0
  private static let left = 58.0
  private static let right = 544.0
  private static let top = 26.0
  private static let bottom = 256.0

  init(of chart: Chart) {
    self.chart = chart
    let points = chart.series.flatMap(\.points)
    var heights = points.flatMap { [$0.y - $0.error, $0.y + $0.error] } + chart.rules.map(\.y)
    let bars = chart.series.filter { $0.style == .bars }
    if !bars.isEmpty, chart.y.range == nil { heights.append(0) }
    x = AxisScale(chart.x, values: points.map(\.x), margin: bars.isEmpty ? 0.02 : 0.08)
    y = AxisScale(chart.y, values: heights, margin: 0.05)
  }

  var svg: String {
    """
    <svg viewBox="0 0 \(number(Self.width)) \(number(Self.height))" role="img" \
    aria-label="\(escaped(chart.title))">
    \(grid)\(rules)\(series)\(ruleLabels)</svg>

    """
  }

  // MARK: - Axes

  private var grid: String {
    var lines = ""
    for tick in y.ticks {
      guard let height = vertical(tick) else { continue }
      lines += line("grid", Self.left, height, Self.right, height)
      lines += text(
        "tick end", Self.left - 8, height + 4, y.text(ofTick: tick))
    }
    lines += line("axis", Self.left, Self.bottom, Self.right, Self.bottom)
    for tick in x.ticks {
      guard let place = horizontal(tick) else { continue }
      lines += line("axis", place, Self.bottom, place, Self.bottom + 4)
      lines += text("tick middle", place, Self.bottom + 19, x.text(ofTick: tick))
    }
    lines += text("label", 0, 12, chart.y.label)
    lines += text("label end", Self.right, Self.height - 6, chart.x.label)
    return lines
  }

  private var rules: String {
    chart.rules.map { rule in
      guard let height = vertical(rule.y) else { return "" }
      return line("rule", Self.left, height, Self.right, height)
    }.joined()
  }

  /// Above all else, so that no line crosses them.
  private var ruleLabels: String {
    chart.rules.map { rule in
      guard let height = vertical(rule.y) else { return "" }
      return isRightEndFreer(at: height)
        ? text("label end", Self.right, height - 6, rule.label)
        : text("label", Self.left + 4, height - 6, rule.label)
    }.joined()
  }

  /// Whether the points at the right end lie further from a height than those at the left end.
  private func isRightEndFreer(at height: Double) -> Bool {
    let positions = chart.series.flatMap(\.points).compactMap(position)
    let third = (Self.right - Self.left) / 3
    func distance(_ isNear: (Double) -> Bool) -> Double {
      positions.filter { isNear($0.x) }.map { abs($0.y - height) }.min() ?? .infinity
    }
    return distance { $0 > Self.right - third } >= distance { $0 < Self.left + third }
  }

  // MARK: - Series

  /// Faint lines first, so that nothing is hidden behind them.
  private var series: String {
    let indices = chart.series.indices
    let faint = indices.filter { chart.series[$0].style == .faintLine }
    let others = indices.filter { chart.series[$0].style != .faintLine }
    return (faint + others).map { index in
      let series = chart.series[index]
      let colour = (series.colour ?? index) % 8
      switch series.style {
      case .line: return path(series.points, "stroke-\(colour) line")
      case .faintLine: return path(series.points, "stroke-\(colour) faint")
      case .points:
        return path(series.points, "stroke-\(colour) thin")
          + errorBars(series.points, "stroke-\(colour) error", shift: 0) + dots(series, colour)
      case .bars: return bars(series, colour, at: index)
      }
    }.joined()
  }

  private func path(_ points: [Chart.Point], _ style: String) -> String {
    var data = ""
    var isDrawing = false
    for point in points {
      guard let position = position(of: point) else {
        isDrawing = false
        continue
      }
      data += "\(isDrawing ? "L" : "M")\(number(position.x)) \(number(position.y))"
      isDrawing = true
    }
    return data.isEmpty ? "" : "<path class=\"\(style)\" d=\"\(data)\"/>\n"
  }

  private func dots(_ series: Chart.Series, _ colour: Int) -> String {
    series.points.map { point in
      guard let position = position(of: point) else { return "" }
      return "<circle class=\"fill-\(colour)\" cx=\"\(number(position.x))\""
        + " cy=\"\(number(position.y))\" r=\"4\">\(hint(series, point))</circle>\n"
    }.joined()
  }

  private func errorBars(_ points: [Chart.Point], _ style: String, shift: Double) -> String {
    points.map { point in
      guard point.error > 0, let place = horizontal(point.x),
        let upper = vertical(point.y + point.error)
      else { return "" }
      let lower = vertical(point.y - point.error) ?? Self.bottom
      return line(style, place + shift, lower, place + shift, upper)
    }.joined()
  }

  /// Bars of several series stand side by side.
  private func bars(_ series: Chart.Series, _ colour: Int, at index: Int) -> String {
    let groups = chart.series.indices.filter { chart.series[$0].style == .bars }
    let positions = Set(groups.flatMap { chart.series[$0].points.map(\.x) }).compactMap(horizontal)
    let sorted = positions.sorted()
    let gap = zip(sorted, sorted.dropFirst()).map { $1 - $0 }.min() ?? 60
    let width = min(0.7 * gap / Double(groups.count), 28)
    let slot = Double(groups.firstIndex(of: index) ?? 0) - Double(groups.count - 1) / 2
    let base = vertical(0).map { min(max($0, Self.top), Self.bottom) } ?? Self.bottom
    let rectangles = series.points.map { point in
      guard let position = position(of: point) else { return "" }
      return
        "<rect class=\"fill-\(colour)\" x=\"\(number(position.x + (slot - 0.5) * width + 0.5))\""
        + " y=\"\(number(min(position.y, base)))\" width=\"\(number(max(width - 1, 1)))\""
        + " height=\"\(number(abs(base - position.y)))\">\(hint(series, point))</rect>\n"
    }
    let errors = errorBars(series.points, "axis", shift: slot * width)
    return rectangles.joined() + errors
  }

  /// The tooltip of a point.
  private func hint(_ series: Chart.Series, _ point: Chart.Point) -> String {
    let error = point.error > 0 ? " \u{B1} \(decimalText(point.error, decimals: 3))" : ""
    let place = decimalText(point.x, decimals: point.x == point.x.rounded() ? 0 : 3)
    return
      "<title>\(escaped(series.name)), \(place): \(decimalText(point.y, decimals: 3))\(error)</title>"
  }

  // MARK: - Places

  private func position(of point: Chart.Point) -> (x: Double, y: Double)? {
    guard let place = horizontal(point.x), let height = vertical(point.y) else { return nil }
    return (place, height)
  }

  private func horizontal(_ value: Double) -> Double? {
    x.place(of: value).map { Self.left + $0 * (Self.right - Self.left) }
  }

  private func vertical(_ value: Double) -> Double? {
    y.place(of: value).map { Self.bottom - $0 * (Self.bottom - Self.top) }
  }

  private func line(_ style: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double)
    -> String
  {
    "<line class=\"\(style)\" x1=\"\(number(x1))\" y1=\"\(number(y1))\""
      + " x2=\"\(number(x2))\" y2=\"\(number(y2))\"/>\n"
  }

  private func text(_ style: String, _ x: Double, _ y: Double, _ text: String) -> String {
    "<text class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\">\(escaped(text))</text>\n"
  }

  /// A coordinate to a tenth of a pixel, with an ordinary minus sign.
  private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
  }
}
