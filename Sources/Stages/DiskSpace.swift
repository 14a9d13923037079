import PipelineCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Refuses work whose result would not fit on the disk.
enum DiskSpace {
  /// - Parameter byteCount: what is to be written below `path`
  static func require(_ byteCount: Int, at path: String, for purpose: String) throws {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return }  // unknown is not too little
    let (free, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    guard overflow || byteCount <= free else {
      throw PipelineError.system(
        operation: "write the \(purpose)", path: path,
        reason: "they take \(megabytes(byteCount)), but only \(megabytes(free)) are free; "
          + "free some space or choose another workspace")
    }
  }

  /// A size for people, such as `12.5 MB`.
  static func megabytes(_ byteCount: Int) -> String {
    let tenths = (Double(byteCount) / 100_000).rounded()
    return "\(tenths / 10) MB"
  }
}
