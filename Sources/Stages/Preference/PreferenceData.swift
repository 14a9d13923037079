import Autograd
import Checkpoints
import Diffusion
import Files
import PipelineCore
import PreferenceModels
import Shards
import TensorCore

/// Comparisons as tensors: the two pictures of each, as the model that draws them would estimate them
/// from noise.
struct PreferenceData {
  let shards: ShardSet
  let estimator: CleanEstimator
  let seed: UInt64
  private let negative: Tensor

  init(_ shards: ShardSet, _ estimator: CleanEstimator, seed: UInt64) throws {
    self.shards = shards
    self.estimator = estimator
    self.seed = seed
    negative = Tensor(
      try shards.emptyEmbedding(), shape: [1] + shards.layout.embeddingShape)
  }

  /// The pictures of comparisons, first the left ones, then the right ones, in 0...1.
  ///
  /// - Parameters:
  ///   - pairs: numbers of comparisons
  ///   - timesteps: one for each comparison; nil for clean pictures
  ///   - draw: tells apart several estimates of one comparison
  func pictures(of pairs: [Int], timesteps: [Int]?, draw: UInt64) throws -> Tensor {
    let latents = try latents(of: pairs)
    guard let timesteps else { return estimator.decoded(latents) }
    let layout = shards.layout
    let size = layout.latentCount
    let noise = Tensor(uninitialized: [
      pairs.count, layout.latentHeight, layout.latentWidth, layout.latentChannels,
    ])
    for (row, pair) in pairs.enumerated() {
      // Keyed by comparison, not by step: whoever asks for it gets the same estimate.
      var stream = RandomStream(
        seed: seed, purpose: "preference.noise " + shards.split, item: UInt64(pair), draw)
      stream.fillNormal(
        UnsafeMutableBufferPointer(start: noise.pointer + row * size, count: size))
    }
    let contexts = try pairs.map { pair in
      Tensor(
        try shards.embedding(ofPrompt: shards.pair(pair).prompt),
        shape: [1] + layout.embeddingShape)
    }
    // Both pictures of a comparison get the same noise: only what they show tells them apart.
    return estimator(
      latents, noise: noise.repeated(2), timesteps: timesteps + timesteps,
      context: concatenated(contexts + contexts, axis: 0), negative: negative)
  }

  private func latents(of pairs: [Int]) throws -> Tensor {
    let layout = shards.layout
    let places = try pairs.map { try shards.pair($0) }
    let images = places.map(\.image0) + places.map(\.image1)
    let result = Tensor(uninitialized: [images.count] + layout.latentShape)
    for (row, image) in images.enumerated() {
      try shards.readLatent(
        ofImage: image,
        into: UnsafeMutableBufferPointer(
          start: result.pointer + row * layout.latentCount, count: layout.latentCount))
    }
    return result.channelsLast()
  }

  /// A timestep for a comparison, uniform below `limit`.
  func timestep(of pair: Int, draw: UInt64, limit: Int) -> Int {
    var stream = RandomStream(
      seed: seed, purpose: "preference.timestep " + shards.split, item: UInt64(pair), draw)
    return stream.integer(below: limit)
  }

  func labels(of pairs: [Int]) throws -> [PreferenceLabel] {
    try pairs.map { pair in
      let pair = try shards.pair(pair)
      return PreferenceLabel(
        first: pair.label0, second: pair.label1, examplesPerPrompt: pair.examplesPerPrompt)
    }
  }

  func ids(of pairs: [Int]) throws -> [[Int]] {
    try pairs.map { try shards.prompt(shards.pair($0).prompt).inputIDs }
  }
}

/// Estimates made once and kept as 8-bit pixels: files of blocks of comparisons.
struct EstimateCache {
  static let pairsPerBlock = 64
  let folder: String
  let pairCount: Int
  let draws: Int

  var blockCount: Int { (pairCount + Self.pairsPerBlock - 1) / Self.pairsPerBlock }

  func pairs(ofBlock block: Int) -> [Int] {
    Array(block * Self.pairsPerBlock..<min((block + 1) * Self.pairsPerBlock, pairCount))
  }

  func path(_ block: Int) -> String { "\(folder)/\(block).safetensors" }

  /// - Parameter pictures: for each draw the left pictures, then the right ones, in 0...1
  func write(_ pictures: [Tensor], block: Int) throws {
    try writeSafetensors(
      pictures.enumerated().map { draw, batch in
        let bytes = batch.elements.map { UInt8(($0 * 255).rounded()) }
        return OutgoingTensor("\(draw)", type: .u8, shape: batch.shape, bytes: { bytes })
      }, to: path(block))
  }

  /// The pictures of comparisons, left ones first, each in the draw asked for.
  func pictures(of pairs: [(pair: Int, draw: Int)]) throws -> Tensor {
    var rows: [[UInt8]] = []
    var shape: [Int] = []
    for side in 0..<2 {
      for (pair, draw) in pairs {
        let file = try SafetensorsFile(path: path(pair / Self.pairsPerBlock))
        shape = try file.entry("\(draw)").shape
        let row = side * shape[0] / 2 + pair % Self.pairsPerBlock
        let size = shape.dropFirst().reduce(1, *)
        var bytes = [UInt8](repeating: 0, count: size)
        try bytes.withUnsafeMutableBytes { try file.read("\(draw)", from: row * size, into: $0) }
        rows.append(bytes)
      }
    }
    return Tensor(
      rows.flatMap { $0.map { Float($0) / 255 } }, shape: [rows.count] + shape.dropFirst())
  }
}
