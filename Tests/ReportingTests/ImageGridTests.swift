import Foundation
import Reporting
import Testing

@Suite struct ImageGridTests {
  private func html(_ blocks: ReportBlock..., refresh: Int? = nil) -> String {
    var report = Report(title: "t", sections: [ReportSection("s", blocks)])
    report.refresh = refresh
    return report.html
  }

  @Test("images that are compared stand in a set of their own, below their prompt's card")
  func sets() {
    let shots = ["before", "after"].map { ImageGrid.Shot($0, png: [1]) }
    let grid = ImageGrid(cards: [.init(prompt: "a prompt", sets: [shots, shots])])
    let page = html(.images(grid))
    #expect(page.matches(of: /<div class="shots">/).count == 2)
    #expect(page.matches(of: /<div class="shot">/).count == 4)
    #expect(page.matches(of: /<figcaption>a prompt<\/figcaption>/).count == 1)
  }

  @Test(
    "a link to an image leads to a file beside the page, whatever its name",
    arguments: [
      ("pictures/000-0-before.png", "pictures/000-0-before.png"),
      ("javascript:alert(1)", "javascript%3Aalert%281%29"),
      ("//server/a.png", ".//server/a.png"), ("a\"b<c>#?&.png", "a%22b%3Cc%3E%23%3F%26.png"),
      ("../spo/pictures/ä b.png", "../spo/pictures/%C3%A4%20b.png"),
    ])
  func addresses(file: String, address: String) {
    let shot = ImageGrid.Shot("before", png: [], file: file)
    let list = ImageList(
      caption: "all", rows: [.init(prompt: "p", sets: [[.init("before", file: file)]])])
    let page = html(
      .images(ImageGrid(cards: [.init(prompt: "p", shots: [shot])])), .imageList(list))
    #expect(page.components(separatedBy: "href=\"\(address)\"").count == 3)
  }

  @Test("only a page with something to compare, or one that is read again, has the script")
  func script() throws {
    #expect(!html(.text("x")).contains("<script"))
    let grid = ImageGrid(cards: [.init(prompt: "p", shots: [.init("before", png: [])])])
    let page = html(.images(grid))
    #expect(page.matches(of: /<script/).count == 1)
    #expect(!page.contains("data-refresh"))
    let again = html(.text("x"), refresh: 30)
    #expect(again.contains("<body data-refresh=\"30\">"))
    #expect(again.contains("<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>"))
  }

  @Test("narrow pages show beside each cell of a table what its column is called")
  func labels() {
    let page = html(
      .table(ReportTable(columns: ["a", "b", "<c>"], rows: [["1", "2", "3", "4"]])))
    #expect(page.contains("<td>1</td>"))
    #expect(page.contains("<td data-label=\"b\">2</td>"))
    #expect(page.contains("<td data-label=\"&lt;c&gt;\">3</td>"))
    #expect(page.contains("<td>4</td>"))
    let pairs = html(.table(ReportTable(caption: "", pairs: [("a", "b")])))
    #expect(!pairs.contains("wide stacked"))
  }
}
