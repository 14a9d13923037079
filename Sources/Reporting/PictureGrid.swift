/// Pictures side by side, a card for each prompt.
public struct PictureGrid: Sendable {
  /// One picture of a prompt.
  public struct Shot: Sendable {
    /// Such as "before".
    public var label: String
    /// A PNG file.
    public var png: [UInt8]
    /// Below the picture, such as its scores.
    public var note: String

    public init(_ label: String, png: [UInt8], note: String = "") {
      self.label = label
      self.png = png
      self.note = note
    }
  }

  public struct Card: Sendable {
    public var prompt: String
    public var shots: [Shot]

    public init(prompt: String, shots: [Shot]) {
      self.prompt = prompt
      self.shots = shots
    }
  }

  public var cards: [Card]
  /// The width at which a picture shows, in CSS pixels; its height follows.
  public var width: Int
  /// Whether enlarged pixels stay squares, as very small pictures need it.
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
    let shots = card.shots.map { shot in
      let picture = """
        <img alt="\(escaped(shot.label)): \(escaped(card.prompt))" width="\(width)" \
        src="data:image/png;base64,\(base64(shot.png))">
        """
      let note = shot.note.isEmpty ? "" : element("span", class: "note", escaped(shot.note))
      return element(
        "div", class: "shot", element("span", class: "label", escaped(shot.label)) + picture + note)
    }
    return element(
      "figure",
      element("div", class: "shots", shots.joined()) + element("figcaption", escaped(card.prompt)))
  }
}
