import Catalog
import Diffusion
import Files
import HostResources
import Imaging
import NN
import PipelineCore
import StageSupport

struct EncodeDatabases {
  let catalog: CatalogDatabase
  let cache: CacheDatabase
  let images: ImageSource
}

/// Encodes blocks of images or of prompts into the cache.
final class EncodeWork: StageWork {
  struct Output {
    var values: [Encoding] = []
    var rejections: [RejectedImage] = []
  }

  struct RejectedImage {
    /// The digest of the image.
    var content: String
    var uid: String
    var code: String
    var reason: String

    init(_ image: ImageRecord, _ code: String, _ reason: String) {
      (content, uid) = (image.sha256, image.uid)
      (self.code, self.reason) = (code, reason)
    }
  }

  private let settings: EncodeSettings
  private let context: StageContext
  private let identity: EncoderIdentity
  private let databases: Deferred<EncodeDatabases>
  private let latentEncoder: Deferred<LatentEncoder>
  private let embeddingEncoder: Deferred<EmbeddingEncoder>
  /// The number of distinct images that pairs use; and of those in this run that cannot be encoded.
  private let imageCount: Int
  private var rejectedImageCount = 0

  init(
    _ settings: EncodeSettings, _ context: StageContext, _ identity: EncoderIdentity,
    _ databases: Deferred<EncodeDatabases>, imageCount: Int
  ) {
    (self.settings, self.context) = (settings, context)
    (self.identity, self.databases, self.imageCount) = (identity, databases, imageCount)
    latentEncoder = Deferred { try LatentEncoder(identity) }
    embeddingEncoder = Deferred { try EmbeddingEncoder(identity) }
  }

  func process(_ item: EncodePlan.Block) throws -> Output {
    switch item.contents {
    case .images(let ids): return try encodeImages(ids)
    case .prompts(let prompts): return try encodePrompts(prompts)
    }
  }

  private func encodeImages(_ ids: [Int]) throws -> Output {
    let encoder = try latentEncoder()
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

  /// Returns the bytes of an image; nil if it is gone and need not be encoded again in the block
  /// under repair.
  private func bytes(of record: ImageRecord, _ databases: EncodeDatabases) throws -> [UInt8]? {
    do {
      return try databases.images.bytes(of: record)
    } catch ImageFileError.missing(let path) {
      let isEncoded = try databases.cache.contains(record.sha256, from: identity.image)
      guard isEncoded else { throw SourceError.missingImage(path: path) }
      return nil
    }
  }

  private func decode(
    _ files: [[UInt8]], _ encoder: LatentEncoder
  ) -> [Result<[Float], ImageError>] {
    var limits = ImageLimits()
    limits.pixelCount = settings.imagePixelLimit
    let (encoder, allowed) = (encoder, limits)
    return [Result<[Float], ImageError>](unsafeUninitializedCapacity: files.count) {
      buffer, initialized in
      let start = buffer.baseAddress
      parallelItems(files.count) { index in
        let outcome = Result { () throws(ImageError) in
          try encoder.pixels(of: files[index], limits: allowed)
        }
        start.map { ($0 + index).initialize(to: outcome) }
      }
      initialized = files.count
    }
  }

  private func encodePrompts(_ prompts: [(sha256: String, text: String)]) throws -> Output {
    // Images come first, so their encoder is no longer needed.
    latentEncoder.release()
    let values = try embeddingEncoder()(prompts.map(\.text))
    var output = Output()
    for (prompt, value) in zip(prompts, values) {
      guard let value else { throw EncodeError.nonFiniteEmbedding(prompt: prompt.text) }
      output.values.append((prompt.sha256, value))
    }
    return output
  }

  func commit(_ output: Output, of item: EncodePlan.Block) throws {
    let databases = try databases()
    try usingCache(context, of: .encodings) {
      try databases.cache.store(output.values, from: identity.encoder(of: item))
    }
    for rejection in output.rejections {
      rejectedImageCount += 1
      for id in try databases.catalog.imageIDs(sha256: rejection.content) {
        try databases.catalog.rejectPairs(
          usingImage: id, stage: Encode.name, code: rejection.code,
          reason: "image \(rejection.uid): \(rejection.reason)")
      }
    }
    try checkRejections(
      stage: Encode.name, rejected: rejectedImageCount, of: imageCount,
      limit: settings.maxRejectFraction,
      example: output.rejections.first.map { "image \($0.uid): \($0.reason)" })
  }

  func together(_ body: () throws -> Void) throws {
    let databases = try databases()
    // The cache is committed first: a rejection recurs, an encoding is not repeated.
    try databases.catalog.database.transaction {
      try databases.cache.database.transaction(body)
    }
  }

  func finish() throws -> WorkSummary {
    let open = try databases()
    try open.catalog.database.writeLogBack()
    try identity.save(to: context.output(EncoderIdentity.fileName))
    let rejections = try open.catalog.rejectionCountsByCode(stage: Encode.name)
    if context.movesDatabases {
      try open.catalog.database.leaveLog()
      try open.cache.database.leaveLog()
    }
    databases.release()
    return WorkSummary(rejections: rejections)
  }
}

extension EncoderIdentity {
  func encoder(of item: EncodePlan.Block) -> CacheDatabase.Encoder {
    item.isImages ? image : text
  }
}
