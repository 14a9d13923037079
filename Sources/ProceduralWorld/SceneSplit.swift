import RandomStreams

/// The permitted uses of scenes.
///
/// The three sets are disjoint, and the same in every run.
public struct SceneSplit: Sendable {
  /// For the final measurement only: neither trained on nor inspected while settings are chosen.
  public let validation: [Scene]
  /// For choosing settings; never trained on.
  public let tuning: [Scene]
  /// For every training: base model, preference data, preference model, SPO.
  public let training: [Scene]

  /// 64 scenes for validation, 64 for tuning, 742 for training.
  public static let standard = SceneSplit()

  private init() {
    var stream = RandomStream(seed: 0, purpose: "world.split", item: 0)
    let order = stream.permutation(count: Scene.all.count).map { Scene.all[$0] }
    validation = Array(order[..<64])
    tuning = Array(order[64..<128])
    training = Array(order[128...])
  }
}
