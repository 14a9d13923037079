import Catalog
import Diffusion
import Files
import HostResources
import Imaging
import NN
import PipelineCore
import StageSupport

/// Encodes each image that a pair uses to a latent, and each prompt to an embedding, once per model.
///
/// - Reads:   the catalog, and the images in the files it names
/// - Writes:  `cache.sqlite`, by content; `encodings.json`, what to look for in it
/// - Item:    some images, or some prompts; the same ones together whatever was done before, so
///   that a run that was interrupted computes what one in a piece computes
/// - Rejects: `unreadable-image`, `non-finite-latent`
package final class Encode: DivisibleStage {
  static let name = "encode"
  static let version = 1
  static let unit = "encodings"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = [
    "max_reject_fraction", "model", "tokenizer", "vae",
  ]
  static let ownPaths = [EncoderIdentity.fileName]
  static let caches = [CacheDatabase.fileName]
  static let databases = [CatalogDatabase.fileName, CacheDatabase.fileName]

  typealias Item = EncodePlan.Block

  struct Output {
    var values: [(content: String, bytes: [UInt8])] = []
    var rejections: [RejectedImage] = []
  }

  struct RejectedImage {
    /// Of the image.
    var content: String
    var uid: String
    var code: String
    var reason: String

    init(_ image: ImageRecord, _ code: String, _ reason: String) {
      (content, uid) = (image.sha256, image.uid)
      (self.code, self.reason) = (code, reason)
    }
  }

  let reads: Set<Artifact> = [.catalog]
  let writes: [Artifact: [String]] = [.encodings: [EncoderIdentity.fileName]]

  package let settings: EncodeSettings
  private let context: StageContext
  private var limits = ImageLimits()
  private var connections: Connections?
  private var encoderIdentity: EncoderIdentity?
  private var latentEncoder: LatentEncoder?
  private var embeddingEncoder: EmbeddingEncoder?
  private var plan = EncodePlan()
  private var rejectedImageCount = 0

  struct Connections {
    let catalog: CatalogDatabase
    let cache: CacheDatabase
    let images: ImageSource
  }

  init(settings: EncodeSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    limits.pixelCount = settings.imagePixelLimit
  }

  func inputs() throws -> [StageInput] {
    try EncoderIdentity.inputs(
      settings.base, context.digests)
  }

  func missingOutput() -> String? {
    let cache = context.workspace.path(CacheDatabase.fileName)
    return Folders.exists(cache) ? nil : cache
  }

  func pendingItems() throws -> [Item] {
    let encoderIdentity = try currentEncoderIdentity()
    plan = try usingCache(context, of: .encodings) {
      let databases = try databases()
      return try EncodePlan(
        databases.catalog, databases.cache, image: encoderIdentity.image,
        text: encoderIdentity.text,
        size: encoderIdentity.size, batch: settings.batch, isRepair: context.isForced)
    }
    try databases().catalog.database.releaseMemory()
    return plan.items
  }

  func finishedUnitCount() throws -> Int { plan.reusedCount }

  func unitCount(of item: Item) -> Int { item.count }
  func position(of item: Item) -> Int { item.position }
  func partKey(of item: Item) -> String { item.key }

  func beginCommits() throws {
    for line in plan.announcement { context.progress.say(line) }
    try DiskSpace.require(
      plan.newByteCount, at: context.workspace.path, for: "encodings")
  }

  func process(_ item: Item) throws -> Output {
    switch item.contents {
    case .images(let ids): return try encodeImages(ids)
    case .prompts(let prompts): return try encodePrompts(prompts)
    }
  }

  func commit(_ output: Output, of item: Item) throws {
    let databases = try databases()
    let encoderIdentity = try currentEncoderIdentity()
    try usingCache(context, of: .encodings) {
      try databases.cache.store(
        output.values, from: item.isImages ? encoderIdentity.image : encoderIdentity.text)
    }
    for rejection in output.rejections {
      rejectedImageCount += 1
      for id in try databases.catalog.imageIDs(sha256: rejection.content) {
        try databases.catalog.rejectPairs(
          usingImage: id, stage: Self.name, code: rejection.code,
          reason: "image \(rejection.uid): \(rejection.reason)")
      }
    }
    try checkRejections(
      stage: Self.name, rejected: rejectedImageCount, of: plan.imageCount,
      limit: settings.maxRejectFraction,
      example: output.rejections.first.map { "image \($0.uid): \($0.reason)" })
  }

  func finish() throws {
    try databases().catalog.database.writeLogBack()
    try currentEncoderIdentity().save(to: context.output(EncoderIdentity.fileName))
  }

  func rejectionCounts() throws -> [String: Int] {
    try databases().catalog.rejectionCountsByCode(stage: Self.name)
  }

  func findings() throws -> [String] {
    let cache = try CacheDatabase(
      path: context.workspace.path(CacheDatabase.fileName), access: .readOnly)
    return try cache.damagedEntries().map { error in "\(error)" }
  }

  func garbage() throws -> [Garbage] { try CacheGarbage(context).garbage() }

  func closeDatabases() throws {
    if context.movesDatabases {
      try connections?.catalog.database.leaveLog()
      try connections?.cache.database.leaveLog()
    }
    connections = nil
  }

  // MARK: - Work

  private func encodeImages(_ ids: [Int]) throws -> Output {
    let encoder = try currentLatentEncoder()
    let databases = try databases()
    var output = Output()
    let records = try ids.compactMap { try databases.catalog.image(id: $0) }
    let found = try records.compactMap { record in
      try bytes(of: record, databases).map { (record: record, bytes: $0) }
    }
    var accepted: [ImageRecord] = []
    var decoded: [[Float]] = []
    for (record, outcome) in zip(found.map(\.record), decode(found.map(\.bytes), encoder)) {
      switch outcome {
      case .success(let pixels):
        accepted.append(record)
        decoded.append(pixels)
      case .failure(let error):
        output.rejections.append(RejectedImage(record, "unreadable-image", "\(error)"))
      }
    }
    guard !decoded.isEmpty else { return output }
    let values = try naming(["images \(accepted.map(\.uid).joined(separator: ", ").prefix(120))"]) {
      try encoder(decoded)
    }
    for (record, value) in zip(accepted, values) {
      if let value {
        output.values.append((record.sha256, value))
      } else {
        output.rejections.append(
          RejectedImage(
            record, "non-finite-latent", "the VAE's latents are out of half-precision range"))
      }
    }
    return output
  }

  /// The bytes of an image; nil where it is gone and, of a block that is repaired, needs no encoding.
  private func bytes(of record: ImageRecord, _ databases: Connections) throws -> [UInt8]? {
    do {
      return try databases.images.bytes(of: record)
    } catch ImageFileError.missing(let path) {
      let isEncoded = try databases.cache.contains(
        record.sha256, from: currentEncoderIdentity().image)
      guard isEncoded else { throw SourceError.missingImage(path: path) }
      return nil
    }
  }

  private func decode(
    _ files: [[UInt8]], _ encoder: LatentEncoder
  ) -> [Result<[Float], ImageError>] {
    let limits = limits
    return [Result<[Float], ImageError>](unsafeUninitializedCapacity: files.count) {
      buffer, initialized in
      let start = buffer.baseAddress
      parallelItems(files.count) { index in
        let outcome = Result { () throws(ImageError) in
          try encoder.pixels(of: files[index], limits: limits)
        }
        start.map { ($0 + index).initialize(to: outcome) }
      }
      initialized = files.count
    }
  }

  private func encodePrompts(_ prompts: [(sha256: String, text: String)]) throws -> Output {
    // Images come first; their encoder is needed no more.
    latentEncoder = nil
    let values = try currentEmbeddingEncoder()(prompts.map(\.text))
    var output = Output()
    for (prompt, value) in zip(prompts, values) {
      guard let value else { throw EncodeError.nonFiniteEmbedding(prompt: prompt.text) }
      output.values.append((prompt.sha256, value))
    }
    return output
  }

  // MARK: - What is opened when it is needed

  func databases() throws -> Connections {
    if let connections { return connections }
    let catalog = try CatalogDatabase(
      path: context.database(CatalogDatabase.fileName),
      access: context.isPart ? .immutable : .readWrite)
    try catalog.checkDigests()
    // What cannot be encoded shows again: its pairs are as ingest has left them.
    if context.isPart {
      try catalog.showPairs(rejectedBy: Self.name)
    } else {
      try catalog.restorePairs(rejectedBy: Self.name)
    }
    let opened = Connections(
      catalog: catalog,
      cache: try .writable(context),
      images: ImageSource(catalog))
    connections = opened
    return opened
  }

  func currentEncoderIdentity() throws -> EncoderIdentity {
    if let encoderIdentity { return encoderIdentity }
    let made = try EncoderIdentity(settings, digests: context.digests)
    encoderIdentity = made
    return made
  }

  private func currentLatentEncoder() throws -> LatentEncoder {
    if let latentEncoder { return latentEncoder }
    let made = try LatentEncoder(try currentEncoderIdentity())
    latentEncoder = made
    return made
  }

  private func currentEmbeddingEncoder() throws -> EmbeddingEncoder {
    if let embeddingEncoder { return embeddingEncoder }
    let made = try EmbeddingEncoder(try currentEncoderIdentity())
    embeddingEncoder = made
    return made
  }
}

/// What no row is to blame for.
enum EncodeError: ClassifiedError, CustomStringConvertible {
  case nonFiniteEmbedding(prompt: String)

  var kind: FailureKind { .notFinite }

  var description: String {
    switch self {
    case .nonFiniteEmbedding(let prompt):
      "encode: the text encoder's output is out of half-precision range for the prompt "
        + "\"\(prompt.prefix(80))\"; are its weights damaged?"
    }
  }
}
