import Autograd
import Catalog
import Diffusion
import Files
import Imaging
import PipelineCore
import PreferenceModels
import StageSupport

/// Labels each comparison with the image that a CLIP model such as PickScore prefers.
///
/// Stable Diffusion XL's preference model was published with such labels; stage `shard` uses them
/// if configured.
///
/// - Reads:   the catalog, and the images in the files it names
/// - Writes:  embeddings to `cache.sqlite`, by content; `labels.json`, what to look for in it
/// - Item:    some images, or some prompts, as in stage `encode`
package struct Label: DivisibleStage {
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

  init(settings: LabelSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var scorer: ModelFolder { ModelFolder(path: settings.scorer) }

  func inputs() throws -> [StageInput] {
    try scorer.preferenceInputs(context.digests, as: "scorer")
  }

  func workPlan() throws -> WorkPlan<LabelWork> {
    let open = Deferred(open)
    let plan = try usingCache(context, of: .labels) {
      let open = try open()
      return try EncodePlan(
        open.catalog, open.cache, image: open.labels.image, text: open.labels.text,
        batch: settings.batch, isRepair: context.isForced)
    }
    return WorkPlan(
      plan.items, finishedUnitCount: plan.reusedCount, unitCount: \.count,
      division: LabelDivision(open: open)
    ) {
      if !context.isPart {
        try DiskSpace.require(plan.newByteCount, at: context.workspace.path, for: "embeddings")
      }
      return LabelWork(settings, context, open, scorer)
    }
  }

  private func open() throws -> LabelSources {
    let catalog = try CatalogDatabase(
      path: context.workspace.path(CatalogDatabase.fileName),
      access: context.isPart ? .immutable : .readOnly)
    try catalog.checkDigests()
    let encoderIdentity = try EncoderIdentity(context)
    let identities = try inputs().map(\.identity).joined(separator: "\n")
    return LabelSources(
      catalog: catalog, cache: try .writable(context), images: ImageSource(catalog),
      tokenizer: try encoderIdentity.model.tokenizer(),
      labels: ScoredLabels(
        settings, width: try scorer.preferenceConfiguration().projectionWidth,
        fingerprint: SHA256.hexDigest(of: Array(identities.utf8)),
        tokenizer: encoderIdentity.tokenizerFingerprint))
  }

  /// Returns the vectors of images `[batch, side, side, 3]` in -1...1.
  static func vectors(ofImages images: Tensor, _ model: ImageScorer) -> Tensor {
    withoutGradients {
      model.embedding(
        of: model.normalized(images.scaled(by: 0.5, adding: 0.5)),
        timesteps: [Float](repeating: 0, count: images.shape[0]))
    }
  }

  static func vectors(ofPrompts ids: [[Int]], _ model: PreferenceModel) throws -> Tensor {
    try withoutGradients { try model.prompts(ids).scaled(by: model.imageScorer.scale) }
  }
}

/// The inputs and outputs of labelling.
struct LabelSources {
  let catalog: CatalogDatabase
  let cache: CacheDatabase
  let images: ImageSource
  let tokenizer: Tokenizer
  let labels: ScoredLabels

  func encoder(of item: EncodePlan.Block) -> CacheDatabase.Encoder {
    item.isImages ? labels.image : labels.text
  }
}

final class LabelWork: StageWork {
  private let settings: LabelSettings
  private let context: StageContext
  private let open: Deferred<LabelSources>
  private let model: Deferred<PreferenceModel>

  init(
    _ settings: LabelSettings, _ context: StageContext, _ open: Deferred<LabelSources>,
    _ scorer: ModelFolder
  ) {
    (self.settings, self.context, self.open) = (settings, context, open)
    model = Deferred { try scorer.preferenceModel().model }
  }

  func process(_ item: EncodePlan.Block) throws -> [Encoding] {
    let (open, model) = (try open(), try model())
    let contents: [String]
    let vectors: Tensor
    switch item.contents {
    case .images(let ids):
      let images = try ids.compactMap { try open.catalog.image(id: $0) }
      contents = images.map(\.sha256)
      vectors = try imageVectors(images, open.images, model.imageScorer)
    case .prompts(let prompts):
      contents = prompts.map(\.sha256)
      let ids = try prompts.map { try open.tokenizer.encode($0.text) }
      vectors = try Label.vectors(ofPrompts: ids, model)
    }
    return try contents.enumerated().map { row, content in
      guard let bytes = halfPrecision(vectors.slice(axis: 0, row..<row + 1).values) else {
        throw LabelError.nonFinite(content: content)
      }
      return (content, bytes)
    }
  }

  /// Embeds clean images, preprocessed as by CLIP's own processor.
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
    return Label.vectors(
      ofImages: Tensor(pixels.flatMap { $0 }, shape: [images.count, side, side, 3]), model)
  }

  func commit(_ output: [Encoding], of item: EncodePlan.Block) throws {
    let open = try open()
    try usingCache(context, of: .labels) {
      try open.cache.store(output, from: open.encoder(of: item))
    }
  }

  func together(_ body: () throws -> Void) throws {
    try open().cache.database.transaction(body)
  }

  func finish() throws -> WorkSummary {
    let open = try open()
    try open.labels.save(to: context.output(ScoredLabels.fileName))
    if context.movesDatabases { try open.cache.database.leaveLog() }
    self.open.release()
    return WorkSummary()
  }
}

// MARK: - Parts

private struct LabelDivision: Division {
  let open: Deferred<LabelSources>

  func position(of item: EncodePlan.Block) -> Int? { item.position }
  func key(of item: EncodePlan.Block) -> String { item.key }

  func write(_ output: [Encoding], of item: EncodePlan.Block, to writer: inout OutputWriter) {
    writer.add(encodings: output)
  }

  func output(of item: EncodePlan.Block, from reader: inout OutputReader) throws -> [Encoding] {
    let open = try open()
    let values = try reader.encodings(from: open.encoder(of: item))
    try item.requireContents(values.map(\.content), in: open.catalog)
    return values
  }
}

/// An error that no single row causes.
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
