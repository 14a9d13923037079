import Catalog
import Files
import PipelineCore

/// Cache entries that no finished result of the workspace was made from and no encoder of the
/// pipeline would look up.
struct CacheGarbage {
  private let path: String
  private let cache: CacheDatabase
  /// Nil while the label stage is unfinished: its entries so far are not known here.
  private let encoders: Set<CacheDatabase.Encoder>?
  private let contents: Set<String>

  init(_ context: StageContext) throws {
    let workspace = context.workspace
    path = workspace.path(CacheDatabase.fileName)
    cache = try CacheDatabase(path: path)
    // The empty prompt is always needed.
    contents = try CatalogDatabase(
      path: workspace.path(CatalogDatabase.fileName), access: .readOnly
    ).contentDigests().union([SHA256.hexDigest(of: [])])
    let encoderIdentity = try EncoderIdentity(context)
    var encoders: Set<CacheDatabase.Encoder> = [encoderIdentity.image, encoderIdentity.text]
    let labels = workspace.path(ScoredLabels.fileName)
    if Folders.exists(labels) {
      let labels = try ScoredLabels(contentsOf: labels)
      encoders.formUnion([labels.image, labels.text])
    } else if Folders.exists(workspace.path("state/\(Label.name).json")) {
      self.encoders = nil
      return
    }
    self.encoders = encoders
  }

  func garbage() throws -> [Garbage] {
    guard let encoders else { return [] }
    return try cache.usage().compactMap { usage in
      let isUsed = encoders.contains(usage.encoder)
      let orphans = try cache.orphans(from: usage.encoder, wanted: isUsed ? contents : [])
      guard !orphans.isEmpty else { return nil }
      return Garbage(
        "\(orphans.count) entries of \(path) (\(usage.encoder.kind.rawValue), "
          + "\(usage.encoder.geometry)\(isUsed ? "" : ", of an encoder that is no longer used"))",
        byteCount: orphans.count * usage.encoder.byteCount
      ) {
        try cache.remove(orphans, from: usage.encoder)
        if !isUsed { try cache.remove(usage.encoder) }
        try cache.compact()
      }
    }
  }
}
