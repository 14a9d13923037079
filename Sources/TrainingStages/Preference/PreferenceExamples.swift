package import Autograd
import Diffusion
import Foundation
import PreferenceModels
import RandomStreams
import Shards

/// The comparisons of one split, as tensors.
package struct PreferenceExamples {
  let shards: any ComparisonData
  let seed: UInt64
  let timesteps: DrawnTimesteps
  /// Whether both images of a comparison get the same noise, so that only their content
  /// distinguishes them.
  let sharesNoise: Bool
  /// The name of its random streams, which keeps them apart from others.
  let purpose: String

  /// The distribution of timesteps.
  package struct DrawnTimesteps: Equatable {
    /// The exclusive upper bound.
    let limit: Int
    /// The distance between timesteps, starting at 1.
    let spacing: Int?

    package init(limit: Int, spacing: Int?) {
      self.limit = limit
      self.spacing = spacing
    }

    func draw(from stream: inout RandomStream) -> Int {
      guard let spacing else { return stream.integer(below: limit) }
      return 1 + spacing * stream.integer(below: (limit - 2) / spacing + 1)
    }
  }

  package init(
    shards: any ComparisonData, seed: UInt64, timesteps: DrawnTimesteps, sharesNoise: Bool,
    purpose: String = "preference"
  ) {
    self.purpose = purpose
    self.shards = shards
    self.seed = seed
    self.timesteps = timesteps
    self.sharesNoise = sharesNoise
  }

  var count: Int { shards.pairCount }

  /// Returns the clean, scaled latents of comparisons, all left ones, then all right ones.
  ///
  /// Sampled from their distributions if those were stored, once per comparison and view. Clean
  /// views use the means.
  ///
  /// - Returns: `[2 pairs, height, width, channels]`
  package func latents(of pairs: [Int], _ views: [PreferenceView]) throws -> Tensor {
    let layout = shards.layout
    let positions = try pairs.map { try shards.pair($0) }
    let images = positions.map(\.image0) + positions.map(\.image1)
    return try Tensor(rows: images.count, of: layout.latentShape) { row, latent in
      let image = images[row]
      try shards.readLatent(ofImage: image, into: latent)
      let view = views[row % pairs.count]
      guard view != .clean, let logVariance = try shards.logVariance(ofImage: image) else {
        return
      }
      let side = row < pairs.count ? "left" : "right"
      var stream = RandomStream(
        seed: seed, purpose: "\(purpose).latent \(side) \(shards.split)",
        item: UInt64(pairs[row % pairs.count]), view.noiseKey)
      let normals = stream.normals(count: layout.latentCount)
      for (place, normal) in normals.enumerated() {
        latent[place] += exp(0.5 * logVariance[place]) * normal
      }
    }.channelsLast()
  }

  /// Returns standard normal noise for the left images, then for the right ones.
  ///
  /// Keyed by comparison and view, not by step: every caller gets the same noise.
  ///
  /// - Returns: `[2 pairs, height, width, channels]`
  func noise(for pairs: [Int], _ views: [PreferenceView]) -> Tensor {
    let left = noise(for: pairs, views, stream: "noise")
    return sharesNoise
      ? left.repeated(2)
      : concatenated([left, noise(for: pairs, views, stream: "noise right")], axis: 0)
  }

  private func noise(
    for pairs: [Int], _ views: [PreferenceView], stream name: String
  ) -> Tensor {
    let layout = shards.layout
    return Tensor(
      rows: pairs.count, of: [layout.latentHeight, layout.latentWidth, layout.latentChannels]
    ) { row, noise in
      var stream = RandomStream(
        seed: seed, purpose: "\(purpose).\(name) \(shards.split)", item: UInt64(pairs[row]),
        views[row].noiseKey)
      stream.fillNormal(noise)
    }
  }

  /// Returns the timestep of a comparison in a view.
  func timestep(of pair: Int, _ view: PreferenceView) -> Int {
    switch view {
    case .clean: return 0
    case .timestep(let timestep): return timestep
    case .draw(let number):
      var stream = RandomStream(
        seed: seed, purpose: "\(purpose).timestep \(shards.split)", item: UInt64(pair),
        UInt64(number))
      return timesteps.draw(from: &stream)
    }
  }

  /// Returns the U-Net's conditioning on the prompts, once for the left images and once for the
  /// right ones.
  func conditioning(of pairs: [Int]) throws -> Conditioning {
    try shards.conditioning(ofPrompts: pairs.map { try shards.pair($0).prompt }).repeated(2)
  }

  func labels(of pairs: [Int]) throws -> [PreferenceLabel] {
    try pairs.map { pair in
      let pair = try shards.pair(pair)
      return PreferenceLabel(
        first: pair.label0, second: pair.label1, examplesPerPrompt: pair.examplesPerPrompt)
    }
  }

  func texts(of pairs: [Int]) throws -> [String] {
    try pairs.map { try shards.prompt(shards.pair($0).prompt).text }
  }

  func ids(of pairs: [Int]) throws -> [[Int]] {
    try pairs.map { try shards.prompt(shards.pair($0).prompt).inputIDs }
  }
}
