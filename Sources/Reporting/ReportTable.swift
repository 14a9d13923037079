/// A table of texts: settings, versions, counts.
public struct ReportTable: Sendable {
  /// Above the table.
  public var caption: String
  public var columns: [String]
  /// A row has a text for each column; missing ones stay empty.
  public var rows: [[String]]
  /// The columns, counted from 0, that hold numbers and are aligned to the right.
  public var numberColumns: Set<Int>
  /// Whether only the caption shows until the reader opens it.
  public var isFolded: Bool

  public init(
    caption: String = "", columns: [String] = [], rows: [[String]], numberColumns: Set<Int> = [],
    isFolded: Bool = false
  ) {
    self.caption = caption
    self.columns = columns
    self.rows = rows
    self.numberColumns = numberColumns
    self.isFolded = isFolded
  }

  /// A table of names and values.
  public init(caption: String, pairs: [(name: String, value: String)], isFolded: Bool = false) {
    self.init(caption: caption, rows: pairs.map { [$0.name, $0.value] }, isFolded: isFolded)
  }

  var html: String {
    let head = columns.isEmpty ? "" : element("thead", row(columns, cell: "th"))
    let table = element("table", head + element("tbody", rows.map { row($0, cell: "td") }.joined()))
    let scrolling = element("div", class: columns.count > 2 ? "wide stacked" : "wide", table)
    if isFolded { return element("details", element("summary", escaped(caption)) + scrolling) }
    return (caption.isEmpty ? "" : element("h3", escaped(caption))) + scrolling
  }

  private func row(_ texts: [String], cell: String) -> String {
    let cells = texts.enumerated().map { column, text in
      element(
        cell, class: numberColumns.contains(column) ? "number" : nil,
        label: cell == "td" && column > 0 && column < columns.count ? columns[column] : nil,
        escaped(text))
    }
    return element("tr", cells.joined())
  }
}
