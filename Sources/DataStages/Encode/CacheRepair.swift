import Catalog
import PipelineCore

/// Runs `body`; what it finds damaged in the cache is for the stage that makes `artifact` to make again.
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
  /// The workspace's cache, to be written to; a forced stage gets it without what is damaged in it.
  ///
  /// A part gets what is there to read.
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
