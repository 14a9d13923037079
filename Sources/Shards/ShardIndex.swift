public import Files

/// `index.json`: the contents of a folder of shards.
///
/// Written when all shards exist, so a folder with an index is complete.
public struct ShardIndex: Equatable, Sendable {
  public static let fileName = "index.json"
  static let format = "spo-shards"
  static let version = 1

  /// One file.
  public struct Shard: Equatable, Sendable {
    public var file: String
    public var split: String
    public var byteCount: Int
    /// Of the whole file, 64 hexadecimal digits.
    public var sha256: String
    public var promptCount: Int
    public var imageCount: Int
    public var pairCount: Int

    public init(
      file: String, split: String, byteCount: Int, sha256: String, promptCount: Int,
      imageCount: Int, pairCount: Int
    ) {
      self.file = file
      self.split = split
      self.byteCount = byteCount
      self.sha256 = sha256
      self.promptCount = promptCount
      self.imageCount = imageCount
      self.pairCount = pairCount
    }
  }

  public var layout: ShardLayout
  /// The factor by which latents have been multiplied.
  public var scalingFactor: Double
  /// The encoders' fingerprints, by model part: `autoencoder`, `text_encoder`, `tokenizer`.
  public var fingerprints: [String: String]
  /// The settings that chose and ordered the pairs, for information.
  public var settings: JSON
  public var shards: [Shard]

  public init(
    layout: ShardLayout, scalingFactor: Double, fingerprints: [String: String], settings: JSON,
    shards: [Shard]
  ) {
    self.layout = layout
    self.scalingFactor = scalingFactor
    self.fingerprints = fingerprints
    self.settings = settings
    self.shards = shards
  }

  /// The splits in alphabetical order.
  public var splits: [String] { Set(shards.map(\.split)).sorted() }

  /// Returns the name of a shard, such as `train-00000-of-00003.safetensors`.
  public static func fileName(split: SafeName, number: Int, count: Int) -> String {
    func digits(_ number: Int) -> String {
      String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)"
    }
    return "\(split)-\(digits(number))-of-\(digits(count)).safetensors"
  }
}

/// The extents that all shards of a folder share.
public struct ShardLayout: Equatable, Sendable {
  public var latentChannels: Int
  public var latentHeight: Int
  public var latentWidth: Int
  /// The number of tokens of a prompt, including padding.
  public var tokens: Int
  /// The width of a prompt's embedding.
  public var textWidth: Int
  /// Whether the latents' log-variances are stored in addition to their means.
  public var hasLogVariance: Bool
  /// SDXL's additional conditioning; nil for other models.
  public var pooledText: PooledText?

  public struct PooledText: Equatable, Sendable {
    public var width: Int
    /// For every image: original height and width, top and left of the crop, target height and
    /// width.
    public var sizes: [Int]

    public init(width: Int, sizes: [Int]) {
      self.width = width
      self.sizes = sizes
    }
  }

  public init(
    latentChannels: Int, latentHeight: Int, latentWidth: Int, tokens: Int, textWidth: Int,
    hasLogVariance: Bool, pooledText: PooledText? = nil
  ) {
    self.latentChannels = latentChannels
    self.latentHeight = latentHeight
    self.latentWidth = latentWidth
    self.tokens = tokens
    self.textWidth = textWidth
    self.hasLogVariance = hasLogVariance
    self.pooledText = pooledText
  }

  /// `[channels, height, width]` of one image's latent.
  public var latentShape: [Int] { [latentChannels, latentHeight, latentWidth] }
  /// `[tokens, width]` of one prompt's embedding.
  public var embeddingShape: [Int] { [tokens, textWidth] }
  public var latentCount: Int { latentChannels * latentHeight * latentWidth }
  public var embeddingCount: Int { tokens * textWidth }
  /// The width of a prompt's pooled text embedding; 0 if there is none.
  public var pooledWidth: Int { pooledText?.width ?? 0 }
}

// MARK: - File

extension ShardIndex {
  /// Whether a file looks like an index of shards.
  public static func isIndex(_ path: String) -> Bool {
    (try? JSONReader(contentsOf: path).string("format")) == format
  }

  public init(contentsOf path: String) throws {
    let json = try JSONReader(contentsOf: path)
    guard try json.string("format", default: "") == Self.format else {
      throw ShardError.malformed(path: path, reason: "not an index of shards")
    }
    let version = try json.int("version")
    guard version <= Self.version else {
      throw ShardError.newerVersion(path: path, version: version)
    }
    let latents = try json["latents"]
    let text = try json["text"]
    let shape = try latents.ints("shape")
    let extents = try shape + [text.int("tokens"), text.int("width")]
    guard shape.count == 3, extents.allSatisfy({ (1...1 << 20).contains($0) }) else {
      throw ShardError.malformed(path: path, reason: "the extents \(extents) are impossible")
    }
    layout = ShardLayout(
      latentChannels: shape[0], latentHeight: shape[1], latentWidth: shape[2],
      tokens: extents[3], textWidth: extents[4],
      hasLogVariance: try latents.bool("has_log_variance"),
      pooledText: try text.optional("pooled").map {
        ShardLayout.PooledText(width: try $0.int("width"), sizes: try $0.ints("sizes"))
      })
    if let pooled = layout.pooledText {
      guard pooled.sizes.count == 6, pooled.sizes.allSatisfy({ (0...1 << 20).contains($0) }),
        (1...1 << 20).contains(pooled.width)
      else {
        throw ShardError.malformed(
          path: path, reason: "pooled text \(pooled.width) wide, sizes \(pooled.sizes)")
      }
    }
    scalingFactor = try latents.double("scaling_factor")
    fingerprints = [:]
    for (part, fingerprint) in try json["fingerprints"].members() {
      fingerprints[part] = try fingerprint.string()
    }
    settings = try json["settings"].value
    shards = try json["shards"].elements().map { try Shard($0, indexPath: path) }
  }

  public func save(to path: String) throws {
    try AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }

  private var json: JSON {
    var parts = JSON.Object()
    for (part, fingerprint) in fingerprints.sorted(by: { $0.key < $1.key }) {
      parts[part] = .string(fingerprint)
    }
    var text = JSON.Object()
    text["tokens"] = .integer(layout.tokens)
    text["width"] = .integer(layout.textWidth)
    if let pooled = layout.pooledText {
      text["pooled"] = [
        "width": .integer(pooled.width), "sizes": .array(pooled.sizes.map { .integer($0) }),
      ]
    }
    return [
      "format": .string(Self.format), "version": .integer(Self.version),
      "prompts": .integer(shards.reduce(0) { $0 + $1.promptCount }),
      "images": .integer(shards.reduce(0) { $0 + $1.imageCount }),
      "pairs": .integer(shards.reduce(0) { $0 + $1.pairCount }),
      "latents": [
        "shape": .array(layout.latentShape.map { .integer($0) }),
        "scaling_factor": .number(scalingFactor), "has_log_variance": .bool(layout.hasLogVariance),
      ],
      "text": .object(text),
      "fingerprints": .object(parts), "settings": settings,
      "shards": .array(shards.map(\.json)),
    ]
  }
}

extension ShardIndex.Shard {
  fileprivate init(_ reader: JSONReader, indexPath: String) throws {
    file = try reader.string("file")
    split = try reader.string("split")
    // Shards are in the same folder as their index: a name is never a path.
    for (member, name) in [("file", file), ("split", split)]
    where SafeName(name, limit: 2 * SafeName.lengthLimit) == nil {
      throw ShardError.malformed(
        path: indexPath,
        reason: "\(member) \"\(name.printable)\" cannot name a shard: \(SafeName.rule)")
    }
    byteCount = try reader.int("bytes")
    sha256 = try reader.string("sha256")
    promptCount = try reader.int("prompts")
    imageCount = try reader.int("images")
    pairCount = try reader.int("pairs")
    guard min(promptCount, imageCount, pairCount) >= 0,
      max(promptCount, imageCount, pairCount) <= 1 << 40
    else { throw ShardError.malformed(path: indexPath, reason: "\(file): impossible counts") }
  }

  fileprivate var json: JSON {
    [
      "file": .string(file), "split": .string(split), "prompts": .integer(promptCount),
      "images": .integer(imageCount), "pairs": .integer(pairCount), "bytes": .integer(byteCount),
      "sha256": .string(sha256),
    ]
  }
}
