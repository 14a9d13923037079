import Files
import Foundation
import PipelineCore

/// Refuses work whose result would not fit on the disk.
package enum DiskSpace {
  /// - Parameter byteCount: what is to be written below `path`
  package static func require(_ byteCount: Int, at path: String, for purpose: String) throws {
    guard let free = free(at: path), byteCount > free else { return }  // unknown is not too little
    throw PipelineError.noSpace(path: path, what: purpose, byteCount: byteCount, free: free)
  }

  /// Bytes that are free at a path, or where it would be made; nil if the system does not tell.
  package static func free(at path: String) -> Int? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else {
      guard errno == ENOENT, !path.isEmpty, path != ".", path != "/" else { return nil }
      return free(at: OutputPath.folder(of: path))
    }
    let (free, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    return overflow ? Int.max : free
  }
}
