import Files
import Foundation

/// The files of one folder of a model.
///
/// Symbolic links are followed as far as the model's own folder, or into the store of a download
/// cache of the Hub, where `snapshots/REVISION/...` links to `blobs/`.
struct FolderReader {
  let path: String
  /// All that are not hidden, sorted.
  let names: [String]
  private let roots: [String]

  /// - Parameter model: the model's own folder
  init(_ path: String, of model: String) throws {
    self.path = path
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw ModelFolderError.unreadable(folder: path)
    }
    self.names = names.filter { !$0.hasPrefix(".") }.sorted()
    let root = URL(fileURLWithPath: model).resolvingSymlinksInPath()
    roots = [root.path] + (Self.blobs(of: root).map { [$0] } ?? [])
  }

  /// The store of the download cache that a folder lies in: the folder is a snapshot there, or a part
  /// of one.
  private static func blobs(of root: URL) -> String? {
    let parents = [root, root.deletingLastPathComponent()].map { $0.deletingLastPathComponent() }
    return parents.first { $0.lastPathComponent == "snapshots" }?
      .deletingLastPathComponent().appendingPathComponent("blobs").path
  }

  /// Throws if the file lies elsewhere.
  func requireInside(_ name: String) throws {
    let file = "\(path)/\(name)"
    let target = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
    guard roots.contains(where: { target.hasPrefix($0 + "/") }) else {
      throw ModelFolderError.linksOutside(path: file, target: target)
    }
  }

  /// Copies a small file, changed by `edit`.
  func copy(
    _ name: String, to folder: String, edit: ([UInt8]) throws -> [UInt8] = { $0 }
  ) throws {
    try requireInside(name)
    let contents = try RegularFile(path: "\(path)/\(name)").readAll()
    try AtomicFile.replace("\(folder)/\(name)", with: try edit(contents))
  }
}
