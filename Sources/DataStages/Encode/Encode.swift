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
package struct Encode: DivisibleStage {
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

  let reads: Set<Artifact> = [.catalog]
  let writes: [Artifact: [String]] = [.encodings: [EncoderIdentity.fileName]]

  package let settings: EncodeSettings
  private let context: StageContext

  init(settings: EncodeSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  func inputs() throws -> [StageInput] {
    try EncoderIdentity.inputs(
      settings.base, context.digests)
  }

  func missingOutput() -> String? {
    let cache = context.workspace.path(CacheDatabase.fileName)
    return Folders.exists(cache) ? nil : cache
  }

  func workPlan() throws -> WorkPlan<EncodeWork> {
    let identity = try EncoderIdentity(settings, digests: context.digests)
    let databases = Deferred(databases)
    let plan = try usingCache(context, of: .encodings) {
      let open = try databases()
      return try EncodePlan(
        open.catalog, open.cache, image: identity.image, text: identity.text,
        size: identity.size, batch: settings.batch, isRepair: context.isForced)
    }
    try databases().catalog.database.releaseMemory()
    return WorkPlan(
      plan.items, finishedUnitCount: plan.reusedCount, unitCount: \.count,
      division: EncodeDivision(identity: identity, databases: databases)
    ) {
      if !context.isPart {
        for line in plan.announcement { context.progress.say(line) }
        try DiskSpace.require(plan.newByteCount, at: context.workspace.path, for: "encodings")
      }
      return EncodeWork(settings, context, identity, databases, imageCount: plan.imageCount)
    }
  }

  private func databases() throws -> EncodeDatabases {
    let catalog = try CatalogDatabase(
      path: context.database(CatalogDatabase.fileName),
      access: context.isPart ? .immutable : .readWrite)
    try catalog.checkDigests()
    // Encoding failures will recur: the pairs are reset to the state that ingest left.
    if context.isPart {
      try catalog.showPairs(rejectedBy: Self.name)
    } else {
      try catalog.restorePairs(rejectedBy: Self.name)
    }
    return EncodeDatabases(
      catalog: catalog, cache: try .writable(context), images: ImageSource(catalog))
  }

  func findings() throws -> [String] {
    let cache = try CacheDatabase(
      path: context.workspace.path(CacheDatabase.fileName), access: .readOnly)
    return try cache.damagedEntries().map { error in "\(error)" }
  }

  func garbage() throws -> [Garbage] { try CacheGarbage(context).garbage() }
}

/// An error that no single row causes.
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
