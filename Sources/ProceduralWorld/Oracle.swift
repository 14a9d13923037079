/// The ground truth about an image: how pleasant it is, and how well it matches its prompt.
///
/// Training never sees these scores, only labels made from them with noise (see ``Utility``).
public struct OracleScore: Equatable, Sendable {
  /// 0...100, from the pixels alone.
  public var aesthetics: Double
  /// 0...100, from the pixels and the scene that the prompt asks for.
  public var agreement: Double

  public init(aesthetics: Double, agreement: Double) {
    self.aesthetics = aesthetics
    self.agreement = agreement
  }

  /// Scores an image as one of `scene`.
  public init(of image: WorldImage, as scene: Scene) {
    self.init(aesthetics: image.aesthetics, agreement: image.agreement(with: scene))
  }
}
