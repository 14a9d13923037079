import Files
import Glibc

/// A lock visible to other machines: a file that only one process can create, which holds its
/// machine's name and its process number.
///
/// On cluster file systems a kernel lock may hold on one machine only; exclusive creation is
/// guaranteed by all of them. If a machine crashes, its file has to be removed by hand.
package final class SharedLock {
  static let fileName = "lock.owner"
  private let path: String

  /// - Parameter hasLocalLock: whether this process has the kernel's lock, so that a file of this
  ///   machine belongs to a dead process
  package init(_ workspace: Workspace, hasLocalLock: Bool) throws(PipelineError) {
    path = workspace.path(Self.fileName)
    if try create() { return }
    let owner = Self.read(path)
    guard let owner, owner.host == Self.host, hasLocalLock || !Self.isAlive(owner.process) else {
      let holder = owner.map { "process \($0.process) on \($0.host)" } ?? "another process"
      throw .workspaceInUse(
        path: workspace.path,
        holder: "\(holder), according to \(path) (remove it if that process is gone)")
    }
    unlink(path)
    guard try create() else {
      throw .workspaceInUse(path: workspace.path, holder: "another process")
    }
  }

  deinit { unlink(path) }

  /// Creates the file; false if it exists.
  private func create() throws(PipelineError) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      if errno == EEXIST { return false }
      throw .lastSystemFailure("create", path)
    }
    defer { close(descriptor) }
    let text = Array("\(Self.host) \(getpid())\n".utf8)
    guard write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0 else {
      let failure = PipelineError.lastSystemFailure("write", path)
      unlink(path)
      throw failure
    }
    return true
  }

  private static func read(_ path: String) -> (host: String, process: Int32)? {
    guard let bytes = try? RegularFile(path: path).read(at: 0, count: Folders.byteCount(of: path)),
      bytes.count < 512
    else { return nil }
    let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 2, let process = Int32(words[1]), process > 0 else { return nil }
    return (String(words[0]).printable, process)
  }

  /// Whether a process of another machine holds it, or left it there when the machine crashed.
  static func isHeldElsewhere(in workspace: Workspace) -> Bool {
    read(workspace.path(fileName)).map { $0.host != host } ?? false
  }

  private static func isAlive(_ process: Int32) -> Bool {
    process != getpid() && (kill(process, 0) == 0 || errno != ESRCH)
  }

  package static var host: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
    return String(
      decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
