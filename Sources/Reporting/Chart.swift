/// A chart of one or more series over numbers, such as a loss over steps or an accuracy over timesteps.
public struct Chart: Sendable {
  public struct Axis: Sendable {
    public enum Scale: Sendable {
      case linear
      /// For positive numbers; others are left out.
      case logarithmic
    }

    public var label: String
    public var scale: Scale
    /// The values to show at least; the data widen it.
    public var range: ClosedRange<Double>?

    public init(_ label: String, scale: Scale = .linear, range: ClosedRange<Double>? = nil) {
      self.label = label
      self.scale = scale
      self.range = range
    }
  }

  public struct Point: Sendable {
    public var x: Double
    public var y: Double
    /// Half the length of the error bar.
    public var error: Double

    public init(x: Double, y: Double, error: Double = 0) {
      self.x = x
      self.y = y
      self.error = error
    }
  }

  public struct Series: Sendable {
    public enum Style: Sendable {
      /// A line; where a value is not finite it has a gap.
      case line
      /// A thin, pale line behind the others: raw values of which another series is the mean.
      case faintLine
      /// Points with their error bars, joined by a thin line.
      case points
      /// Bars from zero, or from the axis' lower end, with their error bars.
      case bars
    }

    public var name: String
    public var style: Style
    public var points: [Point]
    /// One of the eight, for series that belong together; nil: the one of its place.
    public var colour: Int?

    public init(
      _ name: String, style: Style = .line, points: [Point], colour: Int? = nil
    ) {
      self.name = name
      self.style = style
      self.points = points
      self.colour = colour
    }
  }

  /// A level to compare with, such as chance.
  public struct Rule: Sendable {
    public var y: Double
    public var label: String

    public init(y: Double, label: String) {
      self.y = y
      self.label = label
    }
  }

  public var title: String
  public var x: Axis
  public var y: Axis
  /// The first has the first colour, and so on; there are eight colours.
  public var series: [Series]
  public var rules: [Rule]
  /// Below the chart: what one should know to read it.
  public var note: String

  public init(
    title: String, x: Axis, y: Axis, series: [Series], rules: [Rule] = [], note: String = ""
  ) {
    self.title = title
    self.x = x
    self.y = y
    self.series = series
    self.rules = rules
    self.note = note
  }

  var html: String {
    let caption = note.isEmpty ? "" : element("p", class: "note", escaped(note))
    return element(
      "figure", class: "chart",
      element("figcaption", escaped(title)) + legend + ChartDrawing(of: self).svg + caption)
  }

  /// The names of the series, if there are several.
  private var legend: String {
    guard series.count > 1 else { return "" }
    let entries = series.enumerated().map { index, series in
      let style = series.style == .faintLine ? " faint" : ""
      return "<span><i class=\"swatch-\((series.colour ?? index) % 8)\(style)\"></i>"
        + "\(escaped(series.name))</span>"
    }
    return element("div", class: "legend", entries.joined())
  }
}

extension Chart.Series {
  /// The means of runs of neighbouring points: a smooth line through noisy values.
  ///
  /// - Parameter count: how many points are left, at most.
  public func averaged(to count: Int) -> Chart.Series {
    let finite = points.filter { $0.x.isFinite && $0.y.isFinite }
    guard count > 0, finite.count > count else { return self }
    var result = self
    result.points = (0..<count).map { part in
      let run = finite[finite.count * part / count..<finite.count * (part + 1) / count]
      let scale = 1 / Double(run.count)
      return Chart.Point(
        x: run.reduce(0) { $0 + $1.x } * scale, y: run.reduce(0) { $0 + $1.y } * scale)
    }
    return result
  }

  /// A noisy measurement to be read: its values, pale, and in front of them the means of runs of them.
  ///
  /// A short one stays as it is. Series without a name get ones that say which is which.
  ///
  /// - Parameter colour: that of both
  public func smoothed(colour: Int) -> [Chart.Series] {
    var raw = self
    raw.colour = colour
    if name.isEmpty { raw.name = "measured" }
    let count = points.count { $0.x.isFinite && $0.y.isFinite }
    guard count >= Self.leastSmoothed else {
      // A line needs several points; with a few, markers show where they are.
      if count < Self.leastSmoothed / 3, style == .line { raw.style = .points }
      return [raw]
    }
    let parts = max(Self.leastSmoothed / 4, min(60, count / 10))
    var mean = raw.averaged(to: parts)
    mean.name =
      (name.isEmpty ? "" : "\(name), ") + "mean of \((count + parts / 2) / parts)"
    raw = raw.averaged(to: Self.mostDrawn)
    raw.style = .faintLine
    return [raw, mean]
  }

  /// Points below which a mean says no more than they do.
  private static let leastSmoothed = 48
  /// Points that a chart can show.
  private static let mostDrawn = 1_500
}
