import Files

/// A report of a run: one HTML file that needs nothing else, no network, no fonts, no script but its own.
///
///     var report = Report(title: "SPO on the tiny model", subtitle: "aesthetics +9.6, agreement -0.4")
///     report.sections.append(ReportSection("Result", [.comparison(comparison), .images(grid)]))
///     try report.write(to: "runs/tiny/report/index.html")
///
/// It follows the reader's light or dark colour scheme, fits a phone and prints on paper. All texts
/// are escaped, so prompts may contain anything. Its content security policy permits only images
/// next to it and the script that compares images; without the script everything is visible, too.
public struct Report: Sendable {
  public var title: String
  /// One line below the title: the result in a sentence.
  public var subtitle: String
  /// The subject and the date of the report, in a few words each.
  public var facts: [String]
  public var sections: [ReportSection]
  /// After how many seconds a browser reads the page again; nil for one that stays as it is.
  public var refresh: Int?
  /// Below the last section: versions, machine, date.
  public var footer: String

  public init(
    title: String, subtitle: String = "", facts: [String] = [], sections: [ReportSection] = [],
    footer: String = ""
  ) {
    self.title = title
    self.subtitle = subtitle
    self.facts = facts
    self.sections = sections
    self.footer = footer
  }

  /// The whole page.
  public var html: String {
    // Where scripts run, they do it, when the reader is not looking at an image.
    let again = refresh.map {
      "\n<noscript><meta http-equiv=\"refresh\" content=\"\($0)\"></noscript>"
    }
    let head = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="\(pagePolicy)">
      <meta name="viewport" content="width=device-width, initial-scale=1">\(again ?? "")
      <title>\(escaped(title))</title>
      <style>\(stylesheet)</style>
      </head>

      """
    let header = element(
      "header",
      element("h1", escaped(title))
        + (subtitle.isEmpty ? "" : element("p", class: "subtitle", escaped(subtitle)))
        + (facts.isEmpty
          ? "" : element("ul", class: "facts", facts.map { element("li", escaped($0)) }.joined())))
    let content = sections.map(\.html).joined()
    let foot = footer.isEmpty ? "" : element("footer", escaped(footer))
    let body = element("main", header + content + foot) + script
    let attribute = refresh.map { " data-refresh=\"\($0)\"" } ?? ""
    return head + "<body\(attribute)>\(body)</body>\n</html>\n"
  }

  /// Nothing where there is nothing to compare.
  private var script: String {
    let hasImages = sections.contains { $0.blocks.contains(where: \.hasImages) }
    return hasImages || refresh != nil ? "<script>\(viewerScript)</script>\n" : ""
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

  /// Consecutive charts are placed side by side if there is room.
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
  /// A bar for a share of 0 to 1, and what it is the share of.
  case progress(Double, String)
  case comparison(ComparisonTable)
  case images(ImageGrid)
  case imageList(ImageList)
  case chart(Chart)
  case table(ReportTable)

  var html: String {
    switch self {
    case .text(let text): element("p", escaped(text))
    case .progress(let share, let text): Self.bar(share, text)
    case .comparison(let table): table.html
    case .images(let grid): grid.html
    case .imageList(let list): list.html
    case .chart(let chart): chart.html
    case .table(let table): table.html
    }
  }

  fileprivate var hasImages: Bool {
    switch self {
    case .images, .imageList: true
    case .text, .progress, .comparison, .chart, .table: false
    }
  }

  private static func bar(_ share: Double, _ text: String) -> String {
    let promille = share.isFinite ? Int((min(max(share, 0), 1) * 1_000).rounded()) : 0
    return element(
      "p", class: "progress",
      "<progress max=\"1000\" value=\"\(promille)\"></progress> " + escaped(text))
  }
}

/// The page's content security policy: its own style and script by their digests, and images in it
/// or next to it.
private let pagePolicy = """
  default-src 'none'; img-src 'self' data: file:; style-src '\(policyDigest(stylesheet))'; \
  script-src '\(policyDigest(viewerScript))'; base-uri 'none'; form-action 'none'
  """

private func policyDigest(_ text: String) -> String {
  "sha256-\(base64(SHA256.digest(of: Array(text.utf8))))"
}
