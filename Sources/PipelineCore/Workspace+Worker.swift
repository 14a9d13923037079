import Foundation
import Glibc

extension Workspace {
  /// Whether a process, on this machine or another, is working on the workspace.
  public var isAtWork: Bool { worker != nil || SharedLock.isHeldElsewhere(in: self) }

  /// The process of this machine that is working on the workspace; nil if there is none, or the
  /// system does not list locks.
  ///
  /// Trying the lock would block a run that starts at that moment.
  public var worker: Int? {
    var status = stat()
    guard lstat(path(WorkspaceLock.fileName), &status) == 0,
      let locks = try? String(contentsOfFile: "/proc/locks", encoding: .utf8)
    else { return nil }
    let inode = ":\(status.st_ino)"
    // 1: FLOCK  ADVISORY  WRITE 1340 00:2c:81764 0 EOF
    for line in locks.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE",
        fields[5].hasSuffix(inode)
      else { continue }
      return Int(fields[4])
    }
    return nil
  }
}
