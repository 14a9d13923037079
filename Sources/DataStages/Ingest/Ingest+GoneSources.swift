import Catalog
import Files
package import PipelineCore

/// Sources that were read completely may be deleted: the finished catalog replaces them.
extension Ingest {
  /// Returns the recorded sources of a pattern whose files are all gone.
  ///
  /// With copies of the images in the catalog some of a pattern's files may go; without them fewer
  /// files than before are different data, and the catalog replaces them only if all are gone.
  ///
  /// - Throws: `SourceError.left` if previously ignored files remain in place of those that are
  ///   gone
  func goneSources() throws -> [SourceRecord] {
    // The catalog is opened only if something may be gone; damage to it is reported where it is
    // read.
    lazy var recorded = (try? catalogedSources()) ?? []
    var gone: [SourceRecord] = []
    for pattern in settings.source.patterns where PathKind(of: pattern) != .file {
      let left = try SourceFiles.matches(pattern, settings)
      guard
        settings.copyImages || left.allSatisfy(Self.isDoubtful) || pattern.contains("[")
      else { continue }
      let named = recorded.filter { SourceFiles.names(pattern, $0.path) }
      let lost = named.filter { !Folders.exists($0.path) }
      guard let first = lost.first, settings.copyImages || lost.count == named.count else {
        continue
      }
      // A name with brackets does not become a pattern when its file is deleted.
      let names = Set(named.map { ExactText($0.path) })
      let isPath = names.contains(ExactText(SourceFiles.plain(pattern)))
      let others = isPath ? [] : left.filter { !names.contains(ExactText($0)) }
      if lost.count == named.count, let other = others.first {
        // Doubtful files, such as descriptions, count only if there is nothing else: that they now
        // do is not what the user asked for.
        guard others.allSatisfy(Self.isDoubtful), !Self.isDoubtful(first.path)
        else { continue }
        throw SourceError.left(path: other, source: pattern, gone: lost.map(\.path))
      }
      gone += lost.filter { source in !gone.contains { $0.id == source.id } }
    }
    return gone
  }

  package func goneInputs() throws -> [String] { try goneSources().map(\.path) }

  /// Returns the recorded names of gone sources: a deleted link no longer gives its target.
  ///
  /// - Parameter present: the names of existing sources
  func recordedNames(of gone: [SourceRecord], besides present: [String]) throws -> [String] {
    guard !gone.isEmpty else { return [] }
    let taken = Set(present.map(ExactText.init))
    var recorded = try context.origin(of: Self.name)?.inputs ?? []
    recorded.removeAll { taken.contains(ExactText($0.name)) }
    return gone.map { source in
      let place = recorded.firstIndex { $0.identity == source.identity }
      return place.map { recorded.remove(at: $0).name } ?? Folders.canonical(source.path)
    }
  }

  /// Returns warnings about gone files that a pattern still names and a new catalog would lack.
  func leftOutLines() throws -> [String] {
    let stoodFor = Set(try goneSources().map(\.id))
    let lost = ((try? catalogedSources()) ?? []).filter { source in
      !stoodFor.contains(source.id) && !Folders.exists(source.path)
        && settings.source.patterns.contains { SourceFiles.names($0, source.path) }
    }
    let hasCopies = try context.origin(of: Self.name)?.settings["copy_images"] == .bool(true)
    return lost.map { source in
      "\(source.path) does not exist any more: its \(Spelled.count(source.rowCount, of: "rows")) will not be in "
        + "the new catalog; to keep them, restore it"
        + (hasCopies ? ", or go on with ingest.copy_images=true" : "")
    }
  }

  /// Whether a file counts as records only if there are no others: descriptions, and folders of
  /// images.
  private static func isDoubtful(_ path: String) -> Bool {
    SourceFormat.isDoubtful(path) || PathKind(of: path) == .folder
  }

  /// Returns the settings without individually named files that are gone.
  ///
  /// - Parameter gone: the sources that the finished catalog replaces
  func settings(without gone: [SourceRecord]) -> IngestSettings {
    var left = settings
    left.source.patterns.removeAll { pattern in
      gone.contains { ExactText($0.path) == ExactText(SourceFiles.plain(pattern)) }
    }
    return left
  }

  /// Whether a pattern's files are gone and the finished catalog replaces them.
  func isStoodFor(_ pattern: String) -> Bool {
    let gone = try? goneSources()
    return gone?.contains { SourceFiles.names(pattern, $0.path) } ?? false
  }
}

extension SourceFiles {
  /// Whether a pattern names a file, or a folder that contains it.
  static func names(_ pattern: String, _ path: String) -> Bool {
    let root = path.hasPrefix("/") ? "/" : ""
    let parts = path.split(separator: "/")
    // A name with brackets may have been literal.
    return [pattern, PathPattern.escaped(pattern)].contains { pattern in
      parts.indices.contains { last in
        PathPattern(pattern).matches(path: root + parts[...last].joined(separator: "/"))
      }
    }
  }
}

/// Warnings about what a new catalog would lose, and refusals to reread sources that exist only in
/// the finished catalog, before anything begins.
package enum GoneSources {
  /// Returns what the stages with work to do would leave out, one line each.
  package static func notes(on work: [PlannedWork]) throws -> [String] {
    try work.compactMap { $0.stage as? Ingest }.flatMap { try $0.leftOutLines() }
  }

  /// - Parameter work: the stages that have something to do
  /// - Throws: `SourceError`
  package static func require(for work: [PlannedWork]) throws {
    for item in work {
      guard let ingest = item.stage as? Ingest, let gone = try ingest.goneSources().first else {
        continue
      }
      throw SourceError.goneSource(path: gone.path)
    }
  }
}
