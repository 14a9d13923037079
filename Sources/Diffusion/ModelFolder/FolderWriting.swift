import Files
import Foundation
import Glibc

/// Creates a folder that appears under its name complete and durable, or not at all.
///
/// Error messages use the folder's final name.
///
/// - Parameters:
///   - destination: a path that does not exist yet
///   - body: writes durable files into the folder at the given path
func writeFolder(_ destination: String, _ body: (String) throws -> Void) throws {
  var destination = destination
  while destination.count > 1, destination.hasSuffix("/") { destination.removeLast() }
  try OutputPath.requireAbsent(destination)
  let temporary = TemporaryName.beside(destination)
  guard mkdir(temporary, 0o755) == 0 else {
    throw FileError.systemFailure("create the folder", destination)
  }
  do {
    try body(temporary)
    try syncFolder(containing: "\(temporary)/.")
    guard rename(temporary, destination) == 0 else {
      throw FileError.systemFailure("rename to", destination)
    }
  } catch {
    try? FileManager.default.removeItem(atPath: temporary)
    guard let error = error as? FileError else { throw error }
    throw error.replacing(temporary, with: destination)
  }
  try syncFolder(containing: destination)
}
