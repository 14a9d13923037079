import Catalog
import Files

/// The contents to encode, without those already in the cache.
struct EncodePlan {
  /// A batch that is encoded together.
  struct Block {
    enum Contents {
      /// Ids in the catalog.
      case images([Int])
      case prompts([(sha256: String, text: String)])
    }

    let contents: Contents
    /// The index among all blocks, including finished ones.
    let position: Int
    /// A key of the contents, from their digests.
    let key: String

    var count: Int {
      switch contents {
      case .images(let ids): ids.count
      case .prompts(let prompts): prompts.count
      }
    }

    var isImages: Bool { if case .images = contents { true } else { false } }

    init(_ contents: Contents, position: Int, digests: [String]) {
      self.contents = contents
      self.position = position
      key = SHA256.hexDigest(of: Array(digests.joined(separator: " ").utf8))
    }
  }

  private(set) var items: [Block] = []
  /// The number of distinct images that pairs use.
  private(set) var imageCount = 0
  private(set) var promptCount = 0
  private var newImageCount = 0
  private var newPromptCount = 0
  /// The number of blocks that may contain images.
  private var imageBlockCount = 0
  /// The number of images whose shorter side is below the encoding size.
  private var enlargedCount = 0
  /// The height and width, in pixels, at which images are encoded.
  private var size = 0
  private var imageByteCount = 0
  private var promptByteCount = 0

  /// - Parameters:
  ///   - size: the height and width, in pixels, at which images are encoded
  ///   - batch: the block size: contents are batched by id into blocks of this size, independent of
  ///     what is already done
  ///   - isRepair: encode whole blocks if anything in them is missing, to reproduce the original:
  ///     the last bits depend on the batch
  init(
    _ catalog: CatalogDatabase, _ cache: CacheDatabase, image: CacheDatabase.Encoder,
    text: CacheDatabase.Encoder, size: Int = 0, batch: Int, isRepair: Bool = false
  ) throws {
    self.size = size
    imageByteCount = image.byteCount
    promptByteCount = text.byteCount
    try addImages(catalog, cache, image, batch, isRepair)
    try addPrompts(catalog, cache, text, batch, isRepair)
  }

  var reusedCount: Int { imageCount - newImageCount + promptCount - newPromptCount }

  var newByteCount: Int { newImageCount * imageByteCount + newPromptCount * promptByteCount }

  /// A description of the work.
  var announcement: [String] {
    [
      "\(newImageCount) images to encode (\(imageCount - newImageCount) reused), "
        + ByteCount.text(newImageCount * imageByteCount),
      "\(newPromptCount) prompts to encode (\(promptCount - newPromptCount) reused), "
        + ByteCount.text(newPromptCount * promptByteCount),
    ]
      + (enlargedCount == 0
        ? []
        : [
          "warning: \(enlargedCount) of \(imageCount) images are smaller than \(size) pixels and are "
            + "upsampled, so they are blurry; lower encode.size or drop them"
        ])
  }

  private mutating func addImages(
    _ catalog: CatalogDatabase, _ cache: CacheDatabase, _ encoder: CacheDatabase.Encoder,
    _ batch: Int, _ isRepair: Bool
  ) throws {
    var ids: [String: Int] = [:]
    var contents: [String] = []
    try catalog.forEachImage { image in
      guard ids[image.sha256] == nil else { return }
      if min(image.width, image.height) < size { enlargedCount += 1 }
      ids[image.sha256] = image.id
      contents.append(image.sha256)
    }
    imageCount = contents.count
    let missing = try cache.missing(contents, from: encoder).compactMap { ids[$0] }
    let pending =
      isRepair
      ? Self.companions(of: missing, among: contents.compactMap { ids[$0] }, batch) { $0 } : missing
    newImageCount = pending.count
    imageBlockCount = (ids.values.max() ?? 0) / batch + 1
    let digests = Dictionary(uniqueKeysWithValues: ids.map { ($0.value, $0.key) })
    items += Self.blocks(pending, of: batch) { $0 }.map { number, ids in
      Block(
        .images(ids), position: number, digests: ["images"] + ids.compactMap { digests[$0] })
    }
  }

  private mutating func addPrompts(
    _ catalog: CatalogDatabase, _ cache: CacheDatabase, _ encoder: CacheDatabase.Encoder,
    _ batch: Int, _ isRepair: Bool
  ) throws {
    // The empty prompt is always needed, for guidance.
    var prompts = [(id: 0, sha256: SHA256.hexDigest(of: []), text: "")]
    prompts += try catalog.prompts().filter { !$0.text.isEmpty }.map { ($0.id, $0.sha256, $0.text) }
    promptCount = prompts.count
    let missing = Set(try cache.missing(prompts.map { $0.sha256 }, from: encoder))
    var pending = prompts.filter { missing.contains($0.sha256) }
    if isRepair { pending = Self.companions(of: pending, among: prompts, batch) { $0.id } }
    pending.sort { $0.id < $1.id }
    newPromptCount = pending.count
    items += Self.blocks(pending, of: batch) { $0.id }.map { number, block in
      Block(
        .prompts(block.map { ($0.sha256, $0.text) }), position: imageBlockCount + number,
        digests: ["prompts"] + block.map(\.sha256))
    }
  }

  /// Returns all elements of the blocks that contain any of these.
  private static func companions<Element>(
    of some: [Element], among all: [Element], _ size: Int, id: (Element) -> Int
  ) -> [Element] {
    let blocks = Set(some.map { id($0) / size })
    return all.filter { blocks.contains(id($0) / size) }
  }

  /// Groups the elements by `id / size`, ordered by each block's first element.
  private static func blocks<Element>(
    _ elements: [Element], of size: Int, id: (Element) -> Int
  ) -> [(number: Int, elements: [Element])] {
    var positions: [Int: Int] = [:]
    var blocks: [(number: Int, elements: [Element])] = []
    for element in elements {
      let key = id(element) / size
      if let place = positions[key] {
        blocks[place].elements.append(element)
      } else {
        positions[key] = blocks.count
        blocks.append((key, [element]))
      }
    }
    return blocks
  }
}
