import ProceduralWorld
import RandomStreams
import Testing

@Suite struct OracleTests {
  private let scenes = SceneSplit.standard.training.prefix(60)

  private func aesthetics(
    _ change: (inout Appearance) -> Void = { _ in }, then treat: (WorldImage) -> WorldImage = { $0 }
  ) -> [Double] {
    scenes.enumerated().map { index, scene in
      var stream = RandomStream(seed: 5, purpose: "test", item: UInt64(index))
      var appearance = Appearance(objectCount: scene.objects.count, using: &stream)
      change(&appearance)
      return treat(WorldImage(of: scene, appearance: appearance)).aesthetics
    }
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  private static func makePleasant(_ appearance: inout Appearance) {
    for part in Self.badnesses { appearance[keyPath: part] = 0 }
  }

  private static let badnesses: [any WritableKeyPath<Appearance, Float> & Sendable] = [
    \.graininess, \.dullness, \.flatness, \.dinginess, \.shadowLoss,
  ]
  /// The scores that each flaw lowers, in the same order.
  private static let parts: [any KeyPath<AestheticParts, Double> & Sendable] = [
    \.cleanness, \.richness, \.roundness, \.freshness, \.grounding,
  ]

  @Test("pleasant in every part is best")
  func best() {
    #expect(mean(aesthetics(Self.makePleasant)) > 93)
    let worst = aesthetics { appearance in
      for part in Self.badnesses { appearance[keyPath: part] = 1 }
    }
    #expect(mean(worst) < 20)
  }

  @Test("each badness lowers its part and the whole, step by step", arguments: 0..<5)
  func steps(index: Int) {
    let levels = ([0, 0.25, 0.5, 0.75, 1] as [Float]).map {
      level -> (part: Double, whole: Double) in
      var parts: [Double] = []
      let whole = aesthetics {
        Self.makePleasant(&$0)
        $0[keyPath: Self.badnesses[index]] = level
      } then: {
        parts.append($0.aestheticParts[keyPath: Self.parts[index]])
        return $0
      }
      return (mean(parts), mean(whole))
    }
    for (better, worse) in zip(levels, levels.dropFirst()) {
      #expect(worse.part < better.part - 0.05, "\(levels)")
      #expect(worse.whole < better.whole - 0.4, "\(levels)")
    }
    #expect(levels[0].part > 0.8 && levels[4].part < 0.3, "\(levels)")
  }

  @Test("washed-out colours are no better than muddy ones", arguments: [false, true])
  func dull(isPale: Bool) {
    let dull = aesthetics {
      Self.makePleasant(&$0)
      $0.dullness = 1
      $0.isPale = isPale
    }
    #expect(mean(dull) < 72)
  }

  @Test("fading, darkening and blurring gain nothing")
  func treatments() {
    let before = mean(aesthetics())
    let faded = aesthetics { _ in
    } then: { image in
      WorldImage(values: image.values.map { 0.5 + 0.5 * ($0 - 0.5) })
    }
    let dark = aesthetics { _ in
    } then: { image in
      WorldImage(values: image.values.map { 0.5 * $0 })
    }
    #expect(mean(faded) < before - 5)
    #expect(mean(dark) < before - 5)
    let pleasant = aesthetics(Self.makePleasant)
    let blurred = aesthetics(Self.makePleasant, then: blurred)
    #expect(mean(blurred) < mean(pleasant) + 0.5)
  }

  /// Means of 9 x 9 pixels, fewer at the border.
  private func blurred(_ image: WorldImage) -> WorldImage {
    let side = WorldImage.side
    func averaged(_ values: [Float], stride: Int) -> [Float] {
      (0..<values.count).map { index in
        let position = index / stride % side
        let near = max(position - 4, 0)...min(position + 4, side - 1)
        let sum = near.reduce(Float(0)) { $0 + values[index + ($1 - position) * stride] }
        return sum / Float(near.count)
      }
    }
    return WorldImage(
      values: averaged(averaged(image.values, stride: 3), stride: 3 * side))
  }

  @Test("vivid colours agree with their names at least as well as dull ones")
  func vividness() {
    let agreements = ([0, 0.5, 1] as [Float]).map { dullness in
      mean(
        scenes.enumerated().map { index, scene in
          var stream = RandomStream(seed: 5, purpose: "test", item: UInt64(index))
          var appearance = Appearance(objectCount: scene.objects.count, using: &stream)
          appearance.dullness = dullness
          return WorldImage(of: scene, appearance: appearance).agreement(with: scene)
        })
    }
    // Of 100; the most vivid and the middling ones are both recognized.
    #expect(agreements[0] >= agreements[1] - 0.1, "\(agreements)")
    #expect(agreements[1] >= agreements[2], "\(agreements)")
  }

  @Test("images of the world are spread widely over the aesthetic scale")
  func spread() {
    let scores = aesthetics()
    let average = mean(scores)
    let deviation = mean(scores.map { ($0 - average) * ($0 - average) }).squareRoot()
    #expect(45...60 ~= average)
    #expect(deviation > 14)
  }

  @Test("every render agrees with its own prompt, and few with another")
  func agreement() {
    let images = scenes.enumerated().map { index, scene in
      WorldImage(of: scene, seed: 5, item: UInt64(index))
    }
    let own = zip(images, scenes).map { $0.agreement(with: $1) }
    let others = zip(images, scenes.dropFirst()).map { $0.agreement(with: $1) }
    #expect((own.min() ?? 0) > 80)
    #expect(mean(others) < 35)
  }

  /// Whether a scene gets another wrong in one respect: an object's colour or shape, one of two objects, or
  /// the background.
  private func isMistake(_ scene: Scene, for other: Scene) -> Bool {
    guard scene.background == other.background else { return scene.objects == other.objects }
    guard scene.objects.count == other.objects.count else {
      return scene.objects.count < other.objects.count
        && other.objects.contains(scene.objects[0])
    }
    return zip(scene.objects, other.objects).reduce(0) { count, objects in
      count + (objects.0.colour == objects.1.colour ? 0 : 1)
        + (objects.0.shape == objects.1.shape ? 0 : 1)
        + (objects.0.place == objects.1.place ? 0 : 2)
    } == 1
  }

  @Test("every kind of mistake costs agreement")
  func mistakes() {
    for (index, scene) in scenes.enumerated() {
      var stream = RandomStream(seed: 6, purpose: "test", item: UInt64(index))
      let mistakes = Scene.all.filter { isMistake($0, for: scene) }
      let wrong = mistakes[stream.integer(below: mistakes.count)]
      let image = WorldImage(of: wrong, using: &stream)
      #expect(image.agreement(with: scene) < image.agreement(with: wrong) - 5)
    }
  }

  @Test("an empty image has no aesthetics and hardly any agreement")
  func blank() {
    for level in [0, 0.5, 1] as [Float] {
      let values = [Float](repeating: level, count: 3 * WorldImage.side * WorldImage.side)
      let score = OracleScore(of: WorldImage(values: values), as: scenes[0])
      #expect(score.aesthetics == 0)
      #expect(score.agreement <= 25)
    }
  }

  @Test("a name gives the same image again, another name another")
  func determinism() {
    let scene = scenes[0]
    let image = WorldImage(of: scene, seed: 1, item: 2)
    #expect(image == WorldImage(of: scene, seed: 1, item: 2))
    #expect(image != WorldImage(of: scene, seed: 1, item: 3))
    #expect(image != WorldImage(of: scene, seed: 2, item: 2))
  }
}
