import Foundation
import Imaging
import ProceduralWorld
import TestSupport
import Testing

/// Renders and scores against those of `Tests/Fixtures/world/generate.py`.
@Suite struct GoldenTests {
  private struct Case: Decodable {
    var prompt: String
    var appearance: Look?
    var aesthetics: Double
    var agreement: Double
  }

  private struct Look: Decodable {
    var graininess: Float
    var dullness: Float
    var flatness: Float
    var dinginess: Float
    var shadowLoss: Float
    var isPale: Bool
    var freshHue: Float
    var dingyHue: Float
    var objects: [ObjectLook]
    var grain: [Float]

    struct ObjectLook: Decodable {
      var offset: [Float]
      var radius: Float
      var hueOffset: Float
    }

    var appearance: Appearance {
      Appearance(
        graininess: graininess, dullness: dullness, flatness: flatness, dinginess: dinginess,
        shadowLoss: shadowLoss, isPale: isPale, freshHue: freshHue, dingyHue: dingyHue,
        objects: objects.map { object in
          Appearance.ObjectAppearance(
            offset: [object.offset[0], object.offset[1]], radius: object.radius,
            hueOffset: object.hueOffset)
        },
        grain: grain)
    }
  }

  private let cases: [(expected: Case, bytes: [UInt8])]

  init() throws {
    let text = try Data(contentsOf: URL(fileURLWithPath: fixturePath("world/cases.json")))
    cases = try JSONDecoder().decode([Case].self, from: text).enumerated().map { index, expected in
      let name = "world/\(index < 10 ? "0" : "")\(index).png"
      let file = try Data(contentsOf: URL(fileURLWithPath: fixturePath(name)))
      return (expected, try RGBImage(decoding: [UInt8](file)).pixels)
    }
  }

  @Test("a given appearance is rendered as numpy renders it")
  func renders() throws {
    for (expected, bytes) in cases {
      guard let look = expected.appearance else { continue }
      let image = WorldImage(of: try Scene(prompt: expected.prompt), appearance: look.appearance)
      let worst = zip(image.values, bytes).map { abs($0 * 255 - Float($1)) }.max() ?? 0
      // Bytes are rounded: half a level, and a little for single precision.
      #expect(worst < 0.505, "\(expected.prompt)")
      #expect(image.bytes.count == bytes.count)
    }
  }

  @Test("the oracle's scores are numpy's")
  func scores() throws {
    for (expected, bytes) in cases {
      let scene = try Scene(prompt: expected.prompt)
      let score = OracleScore(of: try #require(WorldImage(bytes: bytes)), as: scene)
      #expect(abs(score.aesthetics - expected.aesthetics) < 0.01, "\(expected.prompt)")
      #expect(abs(score.agreement - expected.agreement) < 0.01, "\(expected.prompt)")
    }
  }
}
