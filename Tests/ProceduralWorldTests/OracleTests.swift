import ProceduralWorld
import TensorCore
import Testing

@Suite struct OracleTests {
  private let scenes = SceneSplit.standard.training.prefix(60)

  private func aesthetics(
    _ change: (inout Appearance) -> Void = { _ in }, then treat: (Picture) -> Picture = { $0 }
  ) -> [Double] {
    scenes.enumerated().map { index, scene in
      var stream = RandomStream(seed: 5, purpose: "test", item: UInt64(index))
      var appearance = Appearance(objectCount: scene.objects.count, using: &stream)
      change(&appearance)
      return treat(Picture(of: scene, appearance: appearance)).aesthetics
    }
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  private func makePleasant(_ appearance: inout Appearance) {
    appearance.graininess = 0
    appearance.harshness = 0
  }

  @Test("smooth and moderate is best; noise, neon, paleness and fading cost much")
  func order() {
    let best = aesthetics(makePleasant)
    let noisy = aesthetics {
      makePleasant(&$0)
      $0.graininess = 1
    }
    let neon = aesthetics {
      makePleasant(&$0)
      $0.harshness = 1
      $0.isPale = false
    }
    let pale = aesthetics {
      makePleasant(&$0)
      $0.harshness = 1
      $0.isPale = true
    }
    let faded = aesthetics(makePleasant) { picture in
      Picture(values: picture.values.map { 0.5 + 0.5 * ($0 - 0.5) })
    }
    #expect(mean(best) > 98)
    for worse in [noisy, neon, pale] { #expect(mean(worse) < 62) }
    #expect(mean(faded) < 70)
  }

  @Test("pictures of the world are spread widely over the aesthetic scale")
  func spread() {
    let scores = aesthetics()
    let average = mean(scores)
    let deviation = mean(scores.map { ($0 - average) * ($0 - average) }).squareRoot()
    #expect(40...55 ~= average)
    #expect(deviation > 17)
  }

  @Test("every render agrees with its own prompt, and few with another")
  func agreement() {
    let pictures = scenes.enumerated().map { index, scene in
      Picture(of: scene, seed: 5, item: UInt64(index))
    }
    let own = zip(pictures, scenes).map { $0.agreement(with: $1) }
    let others = zip(pictures, scenes.dropFirst()).map { $0.agreement(with: $1) }
    #expect((own.min() ?? 0) > 92)
    #expect(mean(others) < 35)
  }

  @Test("every kind of mistake costs agreement")
  func mistakes() {
    for (index, scene) in scenes.enumerated() {
      var stream = RandomStream(seed: 6, purpose: "test", item: UInt64(index))
      let wrong = scene.withMistake(using: &stream)
      let picture = Picture(of: wrong, using: &stream)
      #expect(picture.agreement(with: scene) < picture.agreement(with: wrong) - 5)
    }
  }

  @Test("an empty picture has no aesthetics and hardly any agreement")
  func blank() {
    for level in [0, 0.5, 1] as [Float] {
      let values = [Float](repeating: level, count: 3 * Picture.side * Picture.side)
      let score = OracleScore(of: Picture(values: values), as: scenes[0])
      #expect(score.aesthetics == 0)
      #expect(score.agreement <= 25)
    }
  }

  @Test("a name gives the same picture again, another name another")
  func determinism() {
    let scene = scenes[0]
    let picture = Picture(of: scene, seed: 1, item: 2)
    #expect(picture == Picture(of: scene, seed: 1, item: 2))
    #expect(picture != Picture(of: scene, seed: 1, item: 3))
    #expect(picture != Picture(of: scene, seed: 2, item: 2))
  }
}
