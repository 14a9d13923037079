import Files

/// A report of a run: one HTML file that needs nothing else, no network, no scripts, no fonts.
///
///     var report = Report(title: "SPO on the tiny model", subtitle: "aesthetics +9.6, agreement -0.4")
///     report.sections.append(ReportSection("Result", [.comparison(comparison), .pictures(grid)]))
///     try report.write(to: "runs/tiny/report/index.html")
///
/// It follows the reader's light or dark colour scheme and prints on paper. All texts are plain: they
/// are escaped, so prompts may hold anything.
public struct Report: Sendable {
  public var title: String
  /// One line below the title: the result in a sentence.
  public var subtitle: String
  public var sections: [ReportSection]
  /// Below the last section: versions, machine, date.
  public var footer: String

  public init(
    title: String, subtitle: String = "", sections: [ReportSection] = [], footer: String = ""
  ) {
    self.title = title
    self.subtitle = subtitle
    self.sections = sections
    self.footer = footer
  }

  /// The whole page.
  public var html: String {
    let head = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escaped(title))</title>
      <style>
      \(stylesheet)
      </style>
      </head>

      """
    let header = element(
      "header",
      element("h1", escaped(title))
        + (subtitle.isEmpty ? "" : element("p", class: "subtitle", escaped(subtitle))))
    let body = sections.map(\.html).joined()
    let foot = footer.isEmpty ? "" : element("footer", escaped(footer))
    return head + element("body", element("main", header + body + foot)) + "</html>\n"
  }

  /// Writes the page, complete or not at all.
  public func write(to path: String) throws {
    try AtomicFile.replace(path, with: Array(html.utf8))
  }
}

/// A heading and what stands below it.
public struct ReportSection: Sendable {
  public var title: String
  public var blocks: [ReportBlock]

  public init(_ title: String, _ blocks: [ReportBlock]) {
    self.title = title
    self.blocks = blocks
  }

  /// Charts that follow one another stand side by side where there is room.
  var html: String {
    var content = ""
    var charts = ""
    for block in blocks {
      if case .chart(let chart) = block {
        charts += chart.html
      } else {
        content += Self.row(of: charts) + block.html
        charts = ""
      }
    }
    return element("section", element("h2", escaped(title)) + content + Self.row(of: charts))
  }

  private static func row(of charts: String) -> String {
    charts.isEmpty ? "" : element("div", class: "charts", charts)
  }
}

/// One thing to read or look at.
public enum ReportBlock: Sendable {
  case text(String)
  case comparison(ComparisonTable)
  case pictures(PictureGrid)
  case chart(Chart)
  case table(ReportTable)

  var html: String {
    switch self {
    case .text(let text): element("p", escaped(text))
    case .comparison(let table): table.html
    case .pictures(let grid): grid.html
    case .chart(let chart): chart.html
    case .table(let table): table.html
    }
  }
}
