import Files
import Foundation

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Makes a folder that appears under its name complete and durable, or not at all.
///
/// - Parameters:
///   - destination: a path where nothing is yet
///   - body: writes durable files into the folder whose path it gets
func writeFolder(_ destination: String, _ body: (String) throws -> Void) throws {
  var destination = destination
  while destination.count > 1, destination.hasSuffix("/") { destination.removeLast() }
  let manager = FileManager.default
  guard !manager.fileExists(atPath: destination) else {
    throw ModelFolderError.exists(path: destination)
  }
  let temporary = "\(destination).tmp.\(getpid())"
  guard mkdir(temporary, 0o755) == 0 else { throw systemFailure("make the folder", temporary) }
  do {
    try body(temporary)
    try syncFolder(containing: "\(temporary)/.")
    guard rename(temporary, destination) == 0 else {
      throw systemFailure("rename to \(destination)", temporary)
    }
  } catch {
    try? manager.removeItem(atPath: temporary)
    throw error
  }
  try syncFolder(containing: destination)
}

private func systemFailure(_ operation: String, _ path: String) -> FileError {
  .system(operation: operation, path: path, reason: String(cString: strerror(errno)))
}
