import Files
import Foundation

/// A reader of the files in one folder of a model.
///
/// Symbolic links are followed within the model's own folder, or into the blob store of a Hub
/// download cache, where `snapshots/REVISION/...` links to `blobs/`. A part may itself be a link to
/// a folder elsewhere, since people share a VAE among models: only files that models consist of are
/// read from such a folder. Files of weights may link anywhere, since only tensors are read from
/// them; other files may not, because what is copied may be published.
struct FolderReader {
  let path: String
  /// All names that are not hidden, sorted.
  let names: [String]
  private let roots: [String]

  /// - Parameter model: the model's own folder
  init(_ path: String, of model: String) throws {
    self.path = path
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw ModelFolderError.unreadable(folder: path)
    }
    let root = URL(fileURLWithPath: model).resolvingSymlinksInPath()
    let own = [root.path] + (Self.blobs(of: root).map { [$0] } ?? [])
    let target = URL(fileURLWithPath: path).resolvingSymlinksInPath()
    let isInside = own.contains { target.path == $0 || target.path.hasPrefix($0 + "/") }
    roots = isInside ? own : [target.path] + (Self.blobs(of: target).map { [$0] } ?? [])
    // A folder without weights is not a known part: its config.json may be anyone's.
    let isPart = names.contains(where: Self.isWeights)
    self.names = names.filter { name in
      guard !name.hasPrefix(".") else { return false }
      return isInside || Self.isWeights(name)
        || Self.partFiles.contains(name) && (isPart || name != "config.json")
    }.sorted()
  }

  /// The files of a model's parts other than weights.
  private static let partFiles: Set<String> = [
    "config.json", "scheduler_config.json", "preprocessor_config.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.json",
  ]

  static func isWeights(_ name: String) -> Bool {
    name.hasSuffix(".safetensors") || name.hasSuffix(".bin")
  }

  /// Returns the blob store of the download cache that contains the folder: it is a snapshot there,
  /// or a part of one.
  private static func blobs(of root: URL) -> String? {
    let parents = [root, root.deletingLastPathComponent()].map { $0.deletingLastPathComponent() }
    return parents.first { $0.lastPathComponent == "snapshots" }?
      .deletingLastPathComponent().appendingPathComponent("blobs").path
  }

  /// Throws if the file lies outside the model.
  func requireInside(_ name: String) throws {
    let file = "\(path)/\(name)"
    let target = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
    guard roots.contains(where: { target.hasPrefix($0 + "/") }) else {
      throw ModelFolderError.linksOutside(path: file, target: target)
    }
  }

  /// Copies a small file, modified by `edit`.
  func copy(
    _ name: String, to folder: String, edit: ([UInt8]) throws -> [UInt8] = { $0 }
  ) throws {
    try requireInside(name)
    let contents = try RegularFile(path: "\(path)/\(name)").readAll()
    try AtomicFile.replace("\(folder)/\(name)", with: try edit(contents))
  }
}
