import Catalog
import Diffusion
import Files
import PipelineCore
import Shards

/// Collects the contents of a shard from the catalog and the cache.
struct ShardSource {
  let encoderIdentity: EncoderIdentity
  let layout: ShardLayout
  private let catalog: CatalogDatabase
  private let cache: CacheDatabase
  /// Nil: human labels.
  private let labels: ScoredLabels?
  private let tokenizer: Tokenizer
  /// The value of the empty prompt.
  private let emptyValue: [UInt8]

  /// Three numbers of 8 bytes, three of 4.
  static let pairByteCount = 36
  /// An image's latent, with its log-variance if there is one.
  var latentByteCount: Int { encoderIdentity.image.byteCount }
  /// A prompt's size without the text.
  var promptByteCount: Int { encoderIdentity.text.byteCount + 8 * layout.tokens + 9 }

  init(
    _ encoderIdentity: EncoderIdentity, _ catalog: CatalogDatabase, _ cache: CacheDatabase,
    labels: ScoredLabels?
  ) throws {
    self.labels = labels
    self.encoderIdentity = encoderIdentity
    self.catalog = catalog
    self.cache = cache
    tokenizer = try encoderIdentity.model.tokenizer()
    let latent = encoderIdentity.latentShape
    layout = ShardLayout(
      latentChannels: latent[0], latentHeight: latent[1], latentWidth: latent[2],
      tokens: encoderIdentity.prompt.tokens, textWidth: encoderIdentity.prompt.width,
      hasLogVariance: encoderIdentity.hasLogVariance,
      pooledText: encoderIdentity.prompt.pooledWidth.map {
        // In training every image counts as uncropped, at its own size.
        .init(
          width: $0,
          sizes: [
            encoderIdentity.size, encoderIdentity.size, 0, 0, encoderIdentity.size,
            encoderIdentity.size,
          ])
      })
    emptyValue =
      encoderIdentity.prompt.isEmptyPromptZero
      ? [UInt8](repeating: 0, count: encoderIdentity.text.byteCount)
      : try Self.value(of: SHA256.hexDigest(of: []), from: encoderIdentity.text, cache)
  }

  /// Whether the bytes of both images of a pair are known, so that both have latents.
  ///
  /// - Throws: `CatalogError.damagedEntry` if stage `encode` has made one and it is gone
  func isComplete(_ pair: PairRecord) throws -> Bool {
    guard let first = pair.image0.sha256, let second = pair.image1.sha256 else { return false }
    for digest in [first, second] where try !cache.contains(digest, from: encoderIdentity.image) {
      throw CatalogError.damagedEntry(
        path: cache.database.path, content: digest, reason: "it is missing")
    }
    return true
  }

  func contents(of shard: ShardPlan.Shard) throws -> ShardContents {
    let embeddingSize = 2 * layout.embeddingCount
    var contents = ShardContents(
      layout: layout, emptyEmbedding: Array(emptyValue.prefix(embeddingSize)),
      emptyPooledText: Array(emptyValue.dropFirst(embeddingSize)))
    contents.reserveCapacity(prompts: shard.prompts.count, images: shard.imageCount)
    var numbers: [String: Int] = [:]
    let listed = try catalog.listedPromptIDs(inSplit: shard.sourceSplit)
    for id in shard.prompts {
      guard let prompt = try catalog.prompt(id: id) else { continue }
      let value = try Self.value(of: prompt.sha256, from: encoderIdentity.text, cache)
      contents.addPrompt(
        prompt.text, isListed: listed.contains(id), inputIDs: try tokenizer.encode(prompt.text),
        embedding: Array(value.prefix(embeddingSize)),
        pooledText: Array(value.dropFirst(embeddingSize)))
      for pair in try catalog.pairs(ofPrompt: id, inSplit: shard.sourceSplit)
      where try isComplete(pair) {
        let (first, second) = try self.labels(of: pair, prompt: prompt.sha256)
        contents.addPair(
          image0: try number(of: pair.image0, &contents, &numbers),
          image1: try number(of: pair.image1, &contents, &numbers), label0: first,
          label1: second, examplesPerPrompt: Float(1 / pair.weight))
      }
    }
    return contents
  }

  private func labels(
    of pair: PairRecord, prompt: String
  ) throws -> (first: Float, second: Float) {
    guard let labels, let first = pair.image0.sha256, let second = pair.image1.sha256 else {
      return (Float(pair.label0), Float(pair.label1))
    }
    do {
      return try labels(first, second, prompt: prompt, cache)
    } catch let error as CatalogError where error.isDamage(ofCache: cache.database.path) {
      throw DamagedArtifact(.labels, "\(error)")
    }
  }

  /// Returns the index of an image in the shard, adding it if new.
  private func number(
    of image: PairedImage, _ contents: inout ShardContents, _ numbers: inout [String: Int]
  ) throws -> Int {
    let digest = image.sha256 ?? ""
    if let number = numbers[digest] { return number }
    let value = try Self.value(of: digest, from: encoderIdentity.image, cache)
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
