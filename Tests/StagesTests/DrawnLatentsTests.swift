import Autograd
import Files
import Foundation
import Shards
import Stages
import TestSupport
import Testing
import TrainingStages

@Suite struct DrawnLatentsTests {
  @Test("latents are drawn from the distribution that was kept, once for each comparison and view")
  func drawn() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      pipeline.encode["latents"] = "mean+logvar"
      try pipeline.run()
      let shards = try pipeline.shards("train")
      func examples(seed: UInt64 = 7) -> PreferenceExamples {
        PreferenceExamples(
          shards: shards, seed: seed, timesteps: .init(limit: 1_000, spacing: nil),
          sharesNoise: true)
      }
      func latents(_ view: PreferenceView, seed: UInt64 = 7) throws -> [[Float]] {
        try (0..<shards.pairCount).flatMap { pair in
          try examples(seed: seed).latents(of: [pair], [view]).channelsFirst()
            .split(axis: 0, into: 2).map(\.values)
        }
      }
      let images = try (0..<shards.pairCount).flatMap { number in
        let pair = try shards.pair(number)
        return [pair.image0, pair.image1]
      }
      let means = try images.map { try shards.latent(ofImage: $0) }
      #expect(try latents(.clean) == means)

      let found = try latents(.draw(0))
      var normals: [Double] = []
      for (place, image) in images.enumerated() {
        let stored = try shards.logVariance(ofImage: image)
        let logVariance = try #require(stored)
        normals += zip(zip(found[place], means[place]), logVariance).map { pair, logarithm in
          Double((pair.0 - pair.1) / exp(0.5 * logarithm))
        }
      }
      let count = Double(normals.count)
      let mean = normals.reduce(0, +) / count
      let variance = normals.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
      #expect(abs(mean) < 5 / count.squareRoot())
      #expect(abs(variance - 1) < 8 / count.squareRoot())

      #expect(try latents(.draw(0)) == found)
      #expect(try latents(.draw(1)) != found)
      #expect(try latents(.draw(0), seed: 8) != found)
      // A comparison's latents do not depend on the rest of the batch.
      let together = try examples().latents(of: [3, 1], [.draw(0), .draw(0)]).channelsFirst()
      #expect(try together.split(axis: 0, into: 4)[1].values == latents(.draw(0))[2])
    }
  }
}
