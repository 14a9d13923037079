import Catalog
import PipelineCore

/// Runs `body`; turns damage that it finds in the cache into a request to the stage that makes
/// `artifact`.
///
/// - Throws: `DamagedArtifact`
func usingCache<Result>(
  _ context: StageContext, of artifact: Artifact, _ body: () throws -> Result
) throws -> Result {
  do { return try body() } catch let error as CatalogError
    where error.isDamage(ofCache: context.database(CacheDatabase.fileName))
  {
    throw DamagedArtifact(artifact, "\(error)")
  }
}

extension CacheDatabase {
  /// Opens the workspace's cache for writing, without its damaged entries if the stage is forced.
  ///
  /// A part opens it for reading.
  static func writable(_ context: StageContext) throws -> CacheDatabase {
    let path = context.database(fileName)
    if context.isPart {
      return try Folders.exists(path)
        ? CacheDatabase(path: path, access: .immutable) : CacheDatabase(path: ":memory:")
    }
    guard context.isForced else { return try CacheDatabase(path: path) }
    return try mended(path: path) { context.progress.say($0) }
  }
}
