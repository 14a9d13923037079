import Autograd
import Catalog
import Diffusion
import Files
import Imaging
import PipelineCore
import PreferenceModels
import StageSupport

/// Has a CLIP model such as PickScore say which image of each comparison it prefers.
///
/// The labels are those that Stable Diffusion XL's preference model was published with; stage `shard`
/// takes them where it is told to.
///
/// - Reads:   the catalog, and the images in the files it names
/// - Writes:  embeddings to `cache.sqlite`, by content; `labels.json`, what to look for in it
/// - Item:    some images, or some prompts, as in stage `encode`
package final class Label: DivisibleStage {
  static let name = "label"
  static let version = 1
  static let unit = "embeddings"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = ["scorer"]
  static let ownPaths = [ScoredLabels.fileName]
  static let caches = [CacheDatabase.fileName]
  static let databases = [CacheDatabase.fileName]

  let reads: Set<Artifact> = [.catalog, .encodings]
  let writes: [Artifact: [String]] = [.labels: [ScoredLabels.fileName]]

  package let settings: LabelSettings
  private let context: StageContext
  private var connections: Connections?
  private var model: PreferenceModel?
  private var plan = EncodePlan()

  private struct Connections {
    let catalog: CatalogDatabase
    let cache: CacheDatabase
    let images: ImageSource
    let tokenizer: Tokenizer
    let labels: ScoredLabels
  }

  init(settings: LabelSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var scorer: ModelFolder { ModelFolder(path: settings.scorer) }

  func inputs() throws -> [StageInput] {
    try scorer.preferenceInputs(context.digests, as: "scorer")
  }

  func pendingItems() throws -> [EncodePlan.Block] {
    plan = try usingCache(context, of: .labels) {
      let open = try opened()
      return try EncodePlan(
        open.catalog, open.cache, image: open.labels.image, text: open.labels.text,
        batch: settings.batch, isRepair: context.isForced)
    }
    return plan.items
  }

  func finishedUnitCount() throws -> Int { plan.reusedCount }

  func unitCount(of item: EncodePlan.Block) -> Int { item.count }
  func position(of item: EncodePlan.Block) -> Int { item.position }
  func partKey(of item: EncodePlan.Block) -> String { item.key }

  func beginCommits() throws {
    try DiskSpace.require(plan.newByteCount, at: context.workspace.path, for: "embeddings")
  }

  func prepare() throws {
    if !plan.items.isEmpty { model = try scorer.preferenceModel().model }
  }

  func process(_ item: EncodePlan.Block) throws -> [(content: String, bytes: [UInt8])] {
    guard let model else { preconditionFailure("not prepared") }
    let open = try opened()
    let contents: [String]
    let vectors: Tensor
    switch item.contents {
    case .images(let ids):
      let images = try ids.compactMap { try open.catalog.image(id: $0) }
      contents = images.map(\.sha256)
      vectors = try imageVectors(images, open.images, model.pictures)
    case .prompts(let prompts):
      contents = prompts.map(\.sha256)
      let ids = try prompts.map { try open.tokenizer.encode($0.text) }
      vectors = try Self.vectors(ofPrompts: ids, model)
    }
    return try contents.enumerated().map { row, content in
      guard let bytes = halfPrecision(vectors.slice(axis: 0, row..<row + 1).values) else {
        throw LabelError.nonFinite(content: content)
      }
      return (content, bytes)
    }
  }

  /// Embeddings of clean images, as CLIP's own processor shows them.
  private func imageVectors(
    _ images: [ImageRecord], _ source: ImageSource, _ model: ImageScorer
  ) throws -> Tensor {
    let side = model.configuration.imageSize
    var limits = ImageLimits()
    limits.pixelCount = settings.imagePixelLimit
    let pixels = try images.map { image in
      try RGBImage(decoding: try source.bytes(of: image), limits: limits)
        .resized(shorterEdge: side, limits: limits)
        .croppedToCenter(width: side, height: side).normalizedPixels()
    }
    return Self.vectors(
      ofImages: Tensor(pixels.flatMap { $0 }, shape: [images.count, side, side, 3]), model)
  }

  /// Of `[batch, side, side, 3]` in -1...1.
  static func vectors(ofImages images: Tensor, _ model: ImageScorer) -> Tensor {
    withoutGradients {
      model.embedding(
        of: model.normalized(images.scaled(by: 0.5, adding: 0.5)),
        timesteps: [Float](repeating: 0, count: images.shape[0]))
    }
  }

  static func vectors(ofPrompts ids: [[Int]], _ model: PreferenceModel) throws -> Tensor {
    try withoutGradients { try model.prompts(ids).scaled(by: model.pictures.scale) }
  }

  func commit(
    _ output: [(content: String, bytes: [UInt8])], of item: EncodePlan.Block
  ) throws {
    let open = try opened()
    try usingCache(context, of: .labels) {
      try open.cache.store(output, from: item.isImages ? open.labels.image : open.labels.text)
    }
  }

  func finish() throws { try opened().labels.save(to: context.output(ScoredLabels.fileName)) }

  private func opened() throws -> Connections {
    if let connections { return connections }
    let catalog = try CatalogDatabase(
      path: context.workspace.path(CatalogDatabase.fileName),
      access: context.isPart ? .immutable : .readOnly)
    try catalog.checkDigests()
    let encoderIdentity = try EncoderIdentity(context)
    let identities = try inputs().map(\.identity).joined(separator: "\n")
    let opened = Connections(
      catalog: catalog,
      cache: try .writable(context),
      images: ImageSource(catalog), tokenizer: try encoderIdentity.model.tokenizer(),
      labels: ScoredLabels(
        settings, width: try scorer.preferenceConfiguration().projectionWidth,
        fingerprint: SHA256.hexDigest(of: Array(identities.utf8)),
        tokenizer: encoderIdentity.tokenizerFingerprint))
    connections = opened
    return opened
  }
}

// MARK: - Parts

extension Label {
  func write(
    _ output: [(content: String, bytes: [UInt8])], of item: EncodePlan.Block,
    to writer: inout OutputWriter
  ) {
    writer.add(encodings: output)
  }

  func output(
    of item: EncodePlan.Block, from reader: inout OutputReader
  ) throws -> [(content: String, bytes: [UInt8])] {
    let open = try opened()
    let values = try reader.encodings(
      from: item.isImages ? open.labels.image : open.labels.text)
    try item.requireContents(values.map(\.content), in: open.catalog)
    return values
  }

  func together(_ body: () throws -> Void) throws {
    try opened().cache.database.transaction(body)
  }

  func closeDatabases() throws {
    if context.movesDatabases { try connections?.cache.database.leaveLog() }
    connections = nil
  }
}

/// What no row is to blame for.
enum LabelError: ClassifiedError, CustomStringConvertible {
  case nonFinite(content: String)

  var kind: FailureKind { .notFinite }

  var description: String {
    switch self {
    case .nonFinite(let content):
      "label: the model's output is out of half-precision range for content \(content); are its "
        + "weights damaged?"
    }
  }
}
