import Foundation
import Glibc

extension Workspace {
  /// Whether a process works on the workspace now, of this machine or of another.
  public var isAtWork: Bool { worker != nil || SharedLock.isHeldElsewhere(in: self) }

  /// The process of this machine that works on the workspace now; nil where none does, or the system has no list
  /// of locks.
  ///
  /// To try the lock would keep out a run that begins at that moment.
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
