import Catalog
import Diffusion
import Files
import Shards

/// Gathers what belongs into a shard from the catalog and the cache.
struct ShardSource {
  let encodings: Encodings
  let layout: ShardLayout
  private let catalog: CatalogDatabase
  private let cache: CacheDatabase
  private let tokenizer: Tokenizer
  private let emptyEmbedding: [UInt8]

  /// Three numbers of 8 bytes, three of 4.
  static let pairByteCount = 36
  /// An image's latent and its log-variance where there is one.
  var latentByteCount: Int { encodings.image.byteCount }
  /// Without the text.
  var promptByteCount: Int { encodings.text.byteCount + 8 * layout.tokens + 9 }

  init(_ encodings: Encodings, _ catalog: CatalogDatabase, _ cache: CacheDatabase) throws {
    self.encodings = encodings
    self.catalog = catalog
    self.cache = cache
    tokenizer = try Tokenizer(folder: "\(encodings.modelPath)/tokenizer")
    let latent = encodings.latentShape
    layout = ShardLayout(
      latentChannels: latent[0], latentHeight: latent[1], latentWidth: latent[2],
      tokens: encodings.text.shape[0], textWidth: encodings.text.shape[1],
      hasLogVariance: encodings.hasLogVariance)
    emptyEmbedding = try Self.value(of: SHA256.hexDigest(of: []), from: encodings.text, cache)
  }

  /// Whether both images of a pair have latents.
  func isComplete(_ pair: PairRecord) throws -> Bool {
    for digest in [pair.image0.sha256, pair.image1.sha256] {
      guard let digest, try cache.contains(digest, from: encodings.image) else { return false }
    }
    return true
  }

  func contents(of shard: ShardPlan.Shard) throws -> ShardContents {
    var contents = ShardContents(layout: layout, emptyEmbedding: emptyEmbedding)
    var numbers: [String: Int] = [:]
    let listed = try catalog.listedPromptIDs(inSplit: shard.sourceSplit)
    for id in shard.prompts {
      guard let prompt = try catalog.prompt(id: id) else { continue }
      contents.addPrompt(
        prompt.text, isListed: listed.contains(id), inputIDs: try tokenizer.encode(prompt.text),
        embedding: try Self.value(of: prompt.sha256, from: encodings.text, cache))
      for pair in try catalog.pairs(ofPrompt: id, inSplit: shard.sourceSplit)
      where try isComplete(pair) {
        contents.addPair(
          image0: try number(of: pair.image0, &contents, &numbers),
          image1: try number(of: pair.image1, &contents, &numbers), label0: Float(pair.label0),
          label1: Float(pair.label1), examplesPerPrompt: Float(1 / pair.weight))
      }
    }
    return contents
  }

  /// The number of an image in the shard, to which it is added if it is new.
  private func number(
    of image: PairedImage, _ contents: inout ShardContents, _ numbers: inout [String: Int]
  ) throws -> Int {
    let digest = image.sha256 ?? ""
    if let number = numbers[digest] { return number }
    let value = try Self.value(of: digest, from: encodings.image, cache)
    let half = layout.latentCount * 2
    let number = contents.addImage(
      latent: Array(value.prefix(half)), logVariance: Array(value.dropFirst(half)))
    numbers[digest] = number
    return number
  }

  private static func value(
    of content: String, from encoder: CacheDatabase.Encoder, _ cache: CacheDatabase
  ) throws -> [UInt8] {
    guard let value = try cache.value(of: content, from: encoder) else {
      throw CatalogError.damagedEntry(
        path: cache.database.path, content: content, reason: "it is missing")
    }
    return value
  }
}
