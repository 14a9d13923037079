import Files
import Foundation
import Reporting
import TestSupport
import Testing

@Suite struct ReportTests {
  private func html(_ block: ReportBlock) -> String {
    Report(title: "t", sections: [ReportSection("s", [block])]).html
  }

  @Test("a page needs nothing but itself")
  func selfContained() {
    let page = SampleReport.report.html
    for forbidden in [
      "http:", "https:", "src=\"//", "<link", "@import", "url(", "javascript:", "fetch(",
      "innerHTML",
      " style=", " onclick=",
    ] {
      #expect(!page.contains(forbidden), "\(forbidden)")
    }
    #expect(page.hasPrefix("<!doctype html>"))
  }

  @Test("the page's policy admits its own style and script, by their digests, and nothing else")
  func policy() throws {
    let page = SampleReport.report.html
    for name in ["style", "script"] {
      let start = try #require(page.range(of: "<\(name)>")).upperBound
      let end = try #require(page.range(of: "</\(name)>")).lowerBound
      let digest = SHA256.digest(of: Array(page[start..<end].utf8))
      let text = Data(digest).base64EncodedString()
      #expect(page.contains("\(name)-src 'sha256-\(text)'"))
    }
    #expect(page.contains("default-src 'none'"))
  }

  @Test("a page is well formed: every element is closed in its order")
  func wellFormed() throws {
    let page = SampleReport.report.html
    let empty: Set = ["meta", "img"]
    var open: [String] = []
    for match in page.matches(of: /<(\/?)([a-z][a-z0-9]*)[^<>]*?(\/?)>/) {
      let name = String(match.2)
      if match.1 == "/" {
        #expect(open.popLast() == name)
      } else if match.3 != "/", !empty.contains(name) {
        open.append(name)
      }
    }
    #expect(open.isEmpty)
  }

  @Test("texts are escaped wherever they stand")
  func escaping() {
    let nasty = "<b>\"&\u{0}</b>"
    let escaped = "&lt;b&gt;&quot;&amp;\u{FFFD}&lt;/b&gt;"
    let chart = Chart(
      title: nasty, x: .init(nasty), y: .init(nasty),
      series: [
        .init(nasty, style: .points, points: [.init(x: 1, y: 1)]), .init("b", points: []),
      ], rules: [.init(y: 1, label: nasty)], note: nasty)
    let shot = ImageGrid.Shot(nasty, png: [], note: nasty)
    let blocks: [ReportBlock] = [
      .text(nasty), .progress(.nan, nasty), .chart(chart),
      .table(ReportTable(caption: nasty, columns: [nasty], rows: [[nasty]])),
      .images(ImageGrid(cards: [.init(prompt: nasty, shots: [shot])])),
      .imageList(
        ImageList(
          caption: nasty, rows: [.init(prompt: nasty, sets: [[.init(nasty, file: nasty)]])])),
      .comparison(
        ComparisonTable(
          rows: [.init(nasty, before: 1, after: 2, standardError: 1)], note: nasty)),
    ]
    let page = Report(
      title: nasty, subtitle: nasty, facts: [nasty], sections: [ReportSection(nasty, blocks)],
      footer: nasty
    ).html
    #expect(!page.contains("<b>"))
    // Title twice, subtitle, fact, section, footer; text; progress; chart 8; table 3; image 5; comparison 2; list 3.
    #expect(page.components(separatedBy: escaped).count - 1 == 29)
  }

  @Test(
    "images are embedded in base 64",
    arguments: [
      ([], ""), ([0x4D], "TQ=="), ([0x4D, 0x61], "TWE="), ([0x4D, 0x61, 0x6E], "TWFu"),
      ([0xFF, 0xFE, 0xFD, 0xFC], "//79/A=="),
    ] as [([UInt8], String)])
  func base64(bytes: [UInt8], text: String) {
    let grid = ImageGrid(cards: [.init(prompt: "p", shots: [.init("before", png: bytes)])])
    #expect(html(.images(grid)).contains("src=\"data:image/png;base64,\(text)\""))
  }

  @Test("a change is shown with its 95 % interval, and a missing one with a dash")
  func comparison() {
    let row = ComparisonTable.Row("aesthetics", before: 62.98, after: 72.56, standardError: 1.5)
    let page = html(.comparison(ComparisonTable(rows: [row])))
    #expect(page.contains(">63.0<"))
    #expect(page.contains(">+9.6<"))
    #expect(page.contains(">+6.6 \u{2026} +12.5<"))
    let unknown = ComparisonTable.Row("x", before: 1, after: .nan, standardError: .nan)
    #expect(html(.comparison(ComparisonTable(rows: [unknown]))).contains(">\u{2013}<"))
  }

  @Test("numbers have their decimals, and signs only where there is something to sign")
  func numbers() {
    #expect(decimalText(-1.25, decimals: 1) == "\u{2212}1.3")
    #expect(decimalText(0.04, decimals: 1, signed: true) == "0.0")
    #expect(decimalText(-0.04, decimals: 1) == "0.0")
    #expect(decimalText(12, decimals: 0, signed: true) == "+12")
    #expect(decimalText(3.007, decimals: 2) == "3.01")
    #expect(decimalText(.infinity, decimals: 2) == "\u{2013}")
    #expect(decimalText(1e300, decimals: 2) == "1e+300")
  }

  @Test("a report is a file")
  func file() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/report.html"
      try SampleReport.report.write(to: path)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == SampleReport.report.html)
    }
  }
}
