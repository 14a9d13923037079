import Catalog
import Files
import PipelineCore

/// Sources that are read to the end may be deleted: the finished catalog stands for them.
extension Ingest {
  /// What was read of a pattern's files, where none of them is there any more.
  ///
  /// With copies of the images in the catalog some of a pattern's files may go; without them fewer files
  /// than before are other data, and only where all are gone does the catalog stand for them.
  func goneSources() throws -> [SourceRecord] {
    let patterns =
      settings.copyImages
      ? settings.source.patterns
      : try settings.source.patterns.filter { try SourceFiles.areGone($0, settings) }
    guard !patterns.isEmpty else { return [] }
    return try catalogedSources().filter { source in
      !Folders.exists(source.path) && patterns.contains { SourceFiles.names($0, source.path) }
    }
  }

  /// Whether a pattern's files are gone and the finished catalog stands for them.
  func isStoodFor(_ pattern: String) -> Bool {
    let gone = try? goneSources()
    return gone?.contains { SourceFiles.names(pattern, $0.path) } ?? false
  }
}

extension SourceFiles {
  /// Whether a pattern names a file, or a folder that it is in.
  static func names(_ pattern: String, _ path: String) -> Bool {
    let root = path.hasPrefix("/") ? "/" : ""
    let parts = path.split(separator: "/")
    // A name with brackets in it may have stood for itself.
    return [pattern, PathPattern.escaped(pattern)].contains { pattern in
      parts.indices.contains { last in
        PathPattern(pattern).matches(path: root + parts[...last].joined(separator: "/"))
      }
    }
  }
}
