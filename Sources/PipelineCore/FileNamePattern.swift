import Glibc

/// The paths of files that a stage may write: in `shards/*.safetensors`, `*` stands for any part of
/// one name; a trailing slash, as in `model/`, includes everything below.
package struct FileNamePattern {
  private let pattern: String

  package init(_ pattern: String) { self.pattern = pattern }

  /// Dotfiles, such as `.nfs01`, match only patterns that have the dot, too.
  package func matches(_ path: String) -> Bool {
    let flags = FNM_PATHNAME | FNM_PERIOD
    guard pattern.hasSuffix("/") else { return fnmatch(pattern, path, flags) == 0 }
    let depth = pattern.count { $0 == "/" }
    let names = path.split(separator: "/", omittingEmptySubsequences: false)
    guard names.count > depth, !names[depth...].contains(where: { $0.hasPrefix(".") }) else {
      return false
    }
    let folder = names[..<depth].joined(separator: "/")
    return fnmatch(String(pattern.dropLast()), folder, flags) == 0
  }

  /// The folder that contains all of them; nil for a file in the workspace itself.
  var folder: String? {
    let names = pattern.split(separator: "/", omittingEmptySubsequences: false).dropLast()
      .prefix { !$0.contains("*") }
    return names.isEmpty ? nil : names.joined(separator: "/")
  }
}
