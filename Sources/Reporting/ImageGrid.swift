/// Images side by side, a card for each prompt.
///
/// With scripts enabled, a click or a key enlarges an image and overlays it on the one that it is
/// compared with; without them all images are still visible.
public struct ImageGrid: Sendable {
  /// One image of a prompt.
  public struct Shot: Sendable {
    /// Such as "before".
    public var label: String
    /// A PNG file.
    public var png: [UInt8]
    /// Below the image, such as its scores.
    public var note: String
    /// The file of an image that is shown reduced, relative to the page; nil: what is shown is all.
    public var file: String?

    public init(_ label: String, png: [UInt8], note: String = "", file: String? = nil) {
      self.label = label
      self.png = png
      self.note = note
      self.file = file
    }
  }

  public struct Card: Sendable {
    public var prompt: String
    /// Images that are compared with one another, in each set the one to compare with first.
    public var sets: [[Shot]]

    public init(prompt: String, sets: [[Shot]]) {
      self.prompt = prompt
      self.sets = sets
    }

    public init(prompt: String, shots: [Shot]) { self.init(prompt: prompt, sets: [shots]) }
  }

  public var cards: [Card]
  /// The width at which an image shows, in CSS pixels; its height follows.
  public var width: Int
  /// Whether enlarged pixels stay squares, as very small images need it.
  public var isPixelated: Bool

  public init(cards: [Card], width: Int = 128, isPixelated: Bool = false) {
    self.cards = cards
    self.width = width
    self.isPixelated = isPixelated
  }

  var html: String {
    element("div", class: isPixelated ? "pictures pixelated" : "pictures", cards.map(html).joined())
  }

  private func html(of card: Card) -> String {
    let sets = card.sets.map { set in
      element("div", class: "shots", set.map { html(of: $0, prompt: card.prompt) }.joined())
    }
    return element("figure", sets.joined() + element("figcaption", escaped(card.prompt)))
  }

  private func html(of shot: Shot, prompt: String) -> String {
    let label =
      shot.file.map {
        "<a class=\"label\" href=\"\(relativeAddress($0))\">\(escaped(shot.label))</a>"
      } ?? element("span", class: "label", escaped(shot.label))
    let image = """
      <img alt="\(escaped(shot.label)): \(escaped(prompt))" width="\(width)" \
      src="data:image/png;base64,\(base64(shot.png))">
      """
    let note = shot.note.isEmpty ? "" : element("span", class: "note", escaped(shot.note))
    return element("div", class: "shot", label + image + note)
  }
}
