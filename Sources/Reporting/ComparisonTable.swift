/// Measures before and after, with the uncertainty of their paired difference.
public struct ComparisonTable: Sendable {
  public struct Row: Sendable {
    public var name: String
    public var before: Double
    public var after: Double
    /// The standard error of the mean paired difference.
    public var standardError: Double
    public var decimals: Int

    public init(
      _ name: String, before: Double, after: Double, standardError: Double, decimals: Int = 1
    ) {
      self.name = name
      self.before = before
      self.after = after
      self.standardError = standardError
      self.decimals = decimals
    }

    var change: Double { after - before }

    /// The 95 % confidence interval of the change: 1.96 standard errors to each side.
    package var interval: ClosedRange<Double>? {
      let margin = 1.96 * abs(standardError)
      guard (change - margin).isFinite, (change + margin).isFinite else { return nil }
      return change - margin...change + margin
    }
  }

  public var rows: [Row]
  /// Below the table: what was measured on what.
  public var note: String

  public init(rows: [Row], note: String = "") {
    self.rows = rows
    self.note = note
  }

  var html: String {
    let head = Self.columns.enumerated().map {
      element("th", class: (1...4).contains($0) ? "number" : nil, escaped($1))
    }
    let table = element(
      "table", class: "comparison",
      element("thead", element("tr", head.joined()))
        + element("tbody", rows.map(html(of:)).joined()))
    let caption = note.isEmpty ? "" : element("p", class: "note", escaped(note))
    return element("div", class: "wide stacked", table) + caption
  }

  private static let columns = ["", "before", "after", "change", "95 % interval", ""]

  private func html(of row: Row) -> String {
    func text(_ value: Double, signed: Bool = false) -> String {
      decimalText(value, decimals: row.decimals, signed: signed)
    }
    let interval = row.interval.map {
      "\(text($0.lowerBound, signed: true)) \u{2026} \(text($0.upperBound, signed: true))"
    }
    let figures = [
      text(row.before), text(row.after), text(row.change, signed: true), interval ?? "\u{2013}",
    ]
    let cells = zip(figures, Self.columns.dropFirst()).map { figure, column in
      element(
        "td", class: column == "change" ? "number strong" : "number", label: column, figure)
    }
    return element(
      "tr",
      element("th", escaped(row.name)) + cells.joined()
        + element("td", class: "drawing", drawing(of: row)))
  }

  /// The interval on a line with zero in its middle; all rows have one scale.
  private func drawing(of row: Row) -> String {
    guard let interval = row.interval else { return "" }
    let reach =
      rows.compactMap(\.interval)
      .map { max(abs($0.lowerBound), abs($0.upperBound)) }.max() ?? 0
    guard reach > 0 else { return "" }
    func x(_ value: Double) -> String { decimalText(100 + 92 * value / reach, decimals: 1) }
    return """
      <svg class="interval" viewBox="0 0 200 24" width="200" height="24" aria-hidden="true">\
      <line class="axis" x1="100" x2="100" y1="1" y2="23"/>\
      <line class="stroke-0 thick" x1="\(x(interval.lowerBound))" \
      x2="\(x(interval.upperBound))" y1="12" y2="12"/>\
      <circle class="fill-0" cx="\(x(row.change))" cy="12" r="4.5"/></svg>
      """
  }
}
