/// All images of all prompts, as links to files next to the page.
///
/// The page itself would grow too large with them. Where scripts run, a click compares them on the page.
public struct ImageList: Sendable {
  public struct Link: Sendable {
    /// Such as "before".
    public var label: String
    /// Relative to the page.
    public var file: String

    public init(_ label: String, file: String) {
      self.label = label
      self.file = file
    }
  }

  public struct Row: Sendable {
    public var prompt: String
    /// Images that are compared with one another.
    public var sets: [[Link]]

    public init(prompt: String, sets: [[Link]]) {
      self.prompt = prompt
      self.sets = sets
    }
  }

  /// Shows until the reader opens the list.
  public var caption: String
  public var rows: [Row]

  public init(caption: String, rows: [Row]) {
    self.caption = caption
    self.rows = rows
  }

  var html: String {
    let items = rows.map { row in
      let sets = row.sets.map { set in
        element("span", class: "shots", set.map(html).joined())
      }
      return element(
        "li",
        element("span", class: "prompt", escaped(row.prompt))
          + element("div", class: "sets", sets.joined()))
    }
    return element(
      "details",
      element("summary", escaped(caption)) + element("ol", class: "list", items.joined()))
  }

  private func html(of link: Link) -> String {
    "<a class=\"shot\" href=\"\(relativeAddress(link.file))\">\(escaped(link.label))</a>\n"
  }
}
