package import Backends
import Files
import PipelineCore
package import StageSupport

extension Ingest: Estimating {
  /// What a row takes in the catalog, with its indices: measured.
  private static let catalogByteCountPerRow = 460
  /// To write it there: measured.
  private static let catalogSecondsPerRow = 1e-4

  package var sources: [NamedSource] {
    settings.source.patterns.filter { !isStoodFor($0) }.map {
      NamedSource(
        setting: "ingest.source", path: $0,
        what: $0.hasSuffix(".json") ? "a list of prompts" : "the comparisons")
    }
  }

  package func volume() throws -> DataVolume {
    for (name, list) in [("keep", settings.keep), ("drop", settings.drop)] {
      for path in list.patterns where PathKind(of: path) == nil {
        throw PipelineError.missingInput(setting: "ingest.\(name)", path: path)
      }
    }
    return try goneSources().isEmpty
      ? DataVolume(settings, catalog: catalogPath) : DataVolume(catalog: finishedCatalogPath)
  }

  package func plan(_ scale: PipelineScale, on backend: any Backend) -> StagePlan {
    var plan = StagePlan(on: backend)
    let rowByteCount = scale.volume.sourceByteCount / max(1, scale.volume.rows)
    // Rows that wait for their images to be checked, and those that are read meanwhile.
    let batch = min(BlockReader.batchByteCount, BlockReader.batchRowCount * rowByteCount)
    plan.add("rows and their images", bytes: 2 * min(batch, scale.volume.sourceByteCount))
    // As they are read, and as they are unpacked.
    plan.add("pages of the source", bytes: min(2 << 20, scale.volume.sourceByteCount))
    plan.addPages(ofDatabase: scale.volume.rows * Self.catalogByteCountPerRow)
    let decoding =
      settings.checkImages == .decode
      ? Double(scale.volume.images) * scale.volume.secondsPerImage : 0
    let row = scale.volume.secondsPerRow + Self.catalogSecondsPerRow
    plan.add(seconds: Double(scale.volume.rows) * row + decoding)
    return plan
  }

  /// Row groups; where the sources are not there, as many as the published files have.
  package func itemCount(_ scale: PipelineScale) throws -> Int {
    guard let sources = try? SourceFile.all(settings) else {
      return scale.volume.rows / Self.publishedRowGroup
    }
    return try sources.reduce(0) { try $0 + $1.open(options).blockRowCounts.count }
  }

  /// Rows of a row group in files with images, as Hugging Face's `datasets` writes them.
  private static let publishedRowGroup = 100

  package func diskByteCount(_ scale: PipelineScale) -> Int {
    scale.volume.rows * Self.catalogByteCountPerRow
      + (settings.copyImages ? scale.volume.sourceByteCount : 0)
  }

  package var diskSavings: [String] { settings.copyImages ? ["ingest.copy_images=false"] : [] }
}
