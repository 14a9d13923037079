import Catalog
import Files
import Foundation
import PipelineCore

/// Image files that were missing when an interrupted run looked for them.
extension Ingest {
  /// The maximum number that are looked for again.
  private static let checkedCount = 1_000

  /// Discards an unfinished run's records if image files that it rejected as missing exist now:
  /// their rows would otherwise be excluded for good.
  func startAnewIfImagesAreBack(_ catalog: Deferred<CatalogDatabase>) throws {
    guard catalogPath != finishedCatalogPath, Folders.exists(catalogPath) else { return }
    let reasons = try catalog().rejectReasons(
      stage: Self.name, code: RowRejection.missingImageCode, limit: Self.checkedCount)
    guard reasons.compactMap(RowRejection.missingImage(in:)).contains(where: Folders.exists) else {
      return
    }
    catalog.release()
    for ending in ["", "-wal", "-shm"] { try Folders.remove(catalogPath + ending) }
  }
}

extension RowRejection {
  static let missingImageCode = "missing-image"
  private static let missingImageStart = "there is no file "

  /// Returns the rejection of a row that names a nonexistent file.
  static func missingImage(_ field: RecordField?, path: String, remedy: String) -> RowRejection {
    RowRejection(field, missingImageCode, "\(missingImageStart)\(path); \(remedy)")
  }

  /// Returns the file named in such a reason; nil for other reasons.
  static func missingImage(in reason: String) -> String? {
    guard reason.hasPrefix(missingImageStart), let end = reason.range(of: "; ", options: .backwards)
    else { return nil }
    return String(reason[..<end.lowerBound].dropFirst(missingImageStart.count))
  }
}
